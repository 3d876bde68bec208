SELECT EXISTS (SELECT 1 FROM oaflow.passages WHERE dataset = %(dataset)s AND words @@ %(term)s::tsquery)
