{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

{{ category_index(ref('stg_kommunen'), 'kommune') }}
