"""From rows of energies to tables, figures and the report; every number comes from the rows.

Read in this order: `schema` (what a row is), `records` (rows in Parquet), `references` (literature
values), `diagnostics` (is a row plausible), `estimates` (several seeds become one number), `tables`
and `figures` (their registries), `targets` (which of them a study has), `report`.
"""
