-- Lets what this transaction makes stand outside of oaflow's schema, which comes first for a role of the same name.
SELECT set_config('search_path', array_to_string(ARRAY(
           SELECT quote_ident(name) FROM unnest(current_schemas(false)) AS name WHERE name <> 'oaflow'), ', '), true)
