-- The jobs of a run that carried a document which no stage reported. Reads all of the run's history.
SELECT DISTINCT h.job FROM oaflow.hops h
 WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job IS NOT NULL AND %(document)s = ANY (h.documents)
