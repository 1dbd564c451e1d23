{# The 16 states by their ISO 3166-2 code: the official list, so always the same columns in the same order. #}
{% macro german_states() -%}
  {{ return({
    'BW': 'Baden-Württemberg',
    'BY': 'Bayern',
    'BE': 'Berlin',
    'BB': 'Brandenburg',
    'HB': 'Bremen',
    'HH': 'Hamburg',
    'HE': 'Hessen',
    'MV': 'Mecklenburg-Vorpommern',
    'NI': 'Niedersachsen',
    'NW': 'Nordrhein-Westfalen',
    'RP': 'Rheinland-Pfalz',
    'SL': 'Saarland',
    'SN': 'Sachsen',
    'ST': 'Sachsen-Anhalt',
    'SH': 'Schleswig-Holstein',
    'TH': 'Thüringen',
  }) }}
{%- endmacro %}

{# A text as `plain_spelling` would write it in SQL. #}
{% macro spelt_plainly(text) -%}
  {{ return(text | lower | replace('ä', 'ae') | replace('ö', 'oe') | replace('ü', 'ue') | replace('ß', 'ss')) }}
{%- endmacro %}
