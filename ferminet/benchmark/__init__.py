"""From rows of energies to tables, figures and the report; every number comes from the rows.

Read the modules in this order: `schema` (one row), `records` (rows in Parquet), `references`
(literature values), `diagnostics` (plausibility of a row), `estimates` (one number from several
seeds), `tables` and `figures` (their registries), `targets` (those of a study), `report`.
"""
