"""From rows of energies to tables, figures and the report; every number comes from the rows.

Read in this order: `schema` (what a row is), `records` (rows in Parquet), `references` (published
energies), `judge` (is a row plausible), `estimates` (several seeds become one number), `tables`,
`plots`, `report`.
"""
