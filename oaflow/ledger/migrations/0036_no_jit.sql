-- Sessions behind a pooler are not oaflow's, so that it cannot turn jit off in them (see oaflow/sessions.py). The functions
-- do it themselves: those that may not read whole tables seem too expensive not to be compiled.
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p
              WHERE p.pronamespace = 'oaflow'::regnamespace AND 'enable_seqscan=off' = ANY (p.proconfig)
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET jit = off', f);
    END LOOP;
END $$;
