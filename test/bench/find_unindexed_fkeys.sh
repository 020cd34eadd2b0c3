# shellcheck shell=bash
#
# Foreign keys without an index in a database of many tables, as one with a
# schema for each tenant has: every tenth lacks one that serves. Most of those
# have an index that names the column and is of no use: the column comes second,
# the index is partial, or the column is only included. The guides' query asks
# whether some index names the columns; ours asks what the server would do.
#
# The server may give the query several processes and the function only one.
# That is measured, too; what is held to a floor is the work, both on one core.
. "$(dirname "$0")/lib.sh"

tables=$(scaled 20000)

# As the guides give it, to the letter of what it selects.
guide_query="
	SELECT con.conrelid::regclass AS table_name,
	       string_agg(att.attname, ', ' ORDER BY key.position) AS columns,
	       'CREATE INDEX idx_' || con.conrelid::regclass || '_' ||
	           array_to_string(array_agg(att.attname ORDER BY key.position), '_') ||
	           ' ON ' || con.conrelid::regclass || ' (' ||
	           string_agg(att.attname, ', ' ORDER BY key.position) || ');' AS create_index
	  FROM pg_constraint con
	 CROSS JOIN LATERAL unnest(con.conkey) WITH ORDINALITY AS key (attnum, position)
	  JOIN pg_attribute att ON att.attnum = key.attnum AND att.attrelid = con.conrelid
	 WHERE con.contype = 'f'
	   AND NOT EXISTS (SELECT 1 FROM pg_index ind
	                    WHERE ind.indrelid = con.conrelid AND con.conkey::int[] <@ ind.indkey::int[])
	 GROUP BY con.conrelid, con.conname
	 ORDER BY table_name"
our_query='SELECT * FROM dbops.find_unindexed_fkeys()'

# Many parents: each foreign key adds triggers to its parent, and the server
# reads all of them again whenever one more is added. A table's name says what
# the right answer is.
psql_run "
	SET synchronous_commit = off;
	DO \$\$
	DECLARE
		keys text;
		index_on text;
		name text;
	BEGIN
		FOR i IN 1 .. $tables / 100 LOOP
			EXECUTE format('CREATE TABLE parent_%s (id bigint PRIMARY KEY, tenant bigint, UNIQUE (tenant, id))', i);
		END LOOP;
		COMMIT;
		FOR i IN 1 .. $tables LOOP
			keys := CASE i % 40 WHEN 7 THEN 'tenant, parent_id' ELSE 'parent_id' END;
			index_on := CASE i % 40
				WHEN 0 THEN NULL
				WHEN 1 THEN '(status, parent_id)'
				WHEN 2 THEN '(parent_id) WHERE status = 1'
				WHEN 3 THEN '(status) INCLUDE (parent_id)'
				WHEN 7 THEN '(parent_id, tenant)'
				ELSE '(parent_id)' END;
			name := CASE WHEN i % 40 < 4 THEN 'bare_' ELSE 'served_' END || i;
			EXECUTE format('CREATE TABLE %s (id bigint PRIMARY KEY, tenant bigint, parent_id bigint, status int, title text, '
				'note text, created timestamptz, changed timestamptz, FOREIGN KEY (%s) REFERENCES parent_%s (%s))',
				name, keys, i % ($tables / 100) + 1, replace(keys, 'parent_id', 'id'));
			EXECUTE format('CREATE INDEX ON %s (created)', name);
			IF index_on IS NOT NULL THEN
				EXECUTE format('CREATE INDEX ON %s %s', name, index_on);
			END IF;
			IF i % 500 = 0 THEN
				COMMIT;
			END IF;
		END LOOP;
	END
	\$\$" 'VACUUM ANALYZE' 'CHECKPOINT'

before_each="$guide_query; $our_query"
compare "foreign keys without an index, of $tables, as the server plans it" 9 \
	"the guides' query" "$guide_query" \
	'find_unindexed_fkeys()' "$our_query"

before_each="SET max_parallel_workers_per_gather = 0; $guide_query; $our_query"
compare "foreign keys without an index, of $tables, on one core" 9 \
	"the guides' query" "$guide_query" \
	'find_unindexed_fkeys()' "$our_query" \
	"$([ "$DBOPS_BENCH" = quick ] && echo 2 || echo 3)"

# Wrong answers: tables that are served and listed, or bare and not listed.
wrong() {
	psql_run "
		SELECT count(*) FILTER (WHERE relname LIKE 'served%' AND listed.table_name IS NOT NULL)
		       || ' served ones listed, '
		       || count(*) FILTER (WHERE relname LIKE 'bare%' AND listed.table_name IS NULL)
		       || ' of ' || count(*) FILTER (WHERE relname LIKE 'bare%') || ' bare ones missed'
		  FROM pg_class
		  LEFT JOIN ($1) listed ON listed.table_name = pg_class.oid
		 WHERE relkind = 'r' AND relname ~ '^(served|bare)_'"
}
ours=$(wrong "$our_query")
printf 'wrong answers\n  %-40s %s\n  %-40s %s\n' "the guides' query" "$(wrong "$guide_query")" \
	'find_unindexed_fkeys()' "$ours"
hold 'no wrong answer of find_unindexed_fkeys()' "$([[ $ours == 0\ *' 0 of '* ]] && echo 1 || echo 0)" 1
