{# The 16 states by their ISO 3166-2 code. The official list fixes the columns and their order. #}
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

{# Jinja equivalent of the SQL macro `plain_spelling`. #}
{% macro spelt_plainly(text) -%}
  {{ return(text | lower | replace('ä', 'ae') | replace('ö', 'oe') | replace('ü', 'ue') | replace('ß', 'ss')) }}
{%- endmacro %}
