/*
 * review_roles.c
 *		Rules about roles: who is above all rules, who logs in how, and who is gone and
 *		still owns something.
 *
 * Passwords are looked at for how they are kept; nothing of them is shown. The
 * role that the cluster was made with is a superuser by birth.
 */
#include "advise/hba_lines.h"
#include "advise/review.h"

/* How long before its end a password is told of, and how long after it as grave. */
#define EXPIRES_SOON	"interval '30 days'"

/* A role of a user: the server's own, of pg_, are none. */
#define IS_ROLE			"r.rolname !~ '^pg_'"

/* From 16 on each membership has a grantor, who alone can take it back, and says what it is good for. */
#define MEMBERSHIPS_HAVE_GRANTORS "current_setting('server_version_num')::int >= 160000"
#define IS_MEMBERSHIP(alias) \
	"coalesce((to_jsonb(" alias ")->>'inherit_option')::bool OR (to_jsonb(" alias ")->>'set_option')::bool, true)"

/*
 * Roles without a password, and what decides for each of them: a word of a line
 * means all, a role, +group or, from 16 on, a regular expression. Roles that the
 * same lines mean are looked at together.
 */
#define LOGINS \
	"login AS MATERIALIZED (SELECT r.oid, r.rolname, r.rolreplication OR r.rolsuper AS copies FROM pg_authid r WHERE r.rolcanlogin AND r.rolpassword IS NULL AND " IS_ROLE "), " \
	"belongs (member, role) AS (SELECT r.oid, r.oid FROM login r UNION SELECT b.member, a.roleid FROM belongs b JOIN pg_auth_members a ON a.member = b.role), " \
	"word AS MATERIALIZED (SELECT l.number, w.word FROM line l CROSS JOIN LATERAL unnest(l.user_name) w (word)), " \
	"named AS (SELECT r.oid AS role, w.number FROM word w JOIN login r ON r.rolname = w.word " \
	"UNION SELECT b.member, w.number FROM word w JOIN pg_authid g ON '+' || g.rolname = w.word JOIN belongs b ON b.role = g.oid " \
	"UNION SELECT r.oid, w.number FROM word w JOIN login r ON CASE WHEN w.word LIKE '/%' AND current_setting('server_version_num')::int >= 160000 THEN r.rolname ~ substr(w.word, 2) END), " \
	"alike AS MATERIALIZED (SELECT x.numbers, x.copies, array_agg(x.oid) AS roles FROM (SELECT r.oid, r.copies, " \
	"coalesce(array_agg(n.number ORDER BY n.number) FILTER (WHERE n.number IS NOT NULL), '{}') AS numbers " \
	"FROM login r LEFT JOIN named n ON n.role = r.oid GROUP BY r.oid, r.copies) x GROUP BY x.numbers, x.copies), " \
	"meant AS MATERIALIZED (SELECT a.roles, array_agg(l.number) AS numbers FROM alike a JOIN line l ON ('all' = ANY (l.user_name) OR l.number = ANY (a.numbers)) " \
	"AND (a.copies OR l.database <> '{replication}') GROUP BY a.roles), " \
	"shaded AS MATERIALIZED (SELECT d.number, d.method, d.remote, (SELECT array_agg(e.number) FROM door e WHERE " IS_BEFORE("e", "d") ") AS behind FROM door d WHERE d.method IN ('trust', 'scram-sha-256', 'md5', 'password')), " \
	"heard AS MATERIALIZED (SELECT m.roles, bool_or(s.method = 'trust' AND s.remote) AS open, bool_or(s.method = 'trust') AS trusted " \
	"FROM meant m CROSS JOIN LATERAL unnest(m.numbers) n (number) JOIN shaded s ON s.number = n.number " \
	"WHERE NOT coalesce(s.behind && m.numbers, false) GROUP BY m.roles)"

/* Who is a member of roles of some kind, what that means, and what ends it. */
#define MEMBERSHIPS(says, kind) \
	"SELECT format('%I in %I', m.rolname, g.rolname), format('" says "%s', g.rolname, coalesce('; those who have it from there lose it too: ' || x.dependent, '')), " \
	"string_agg(format('REVOKE %I FROM %I%s%s;', g.rolname, m.rolname, CASE WHEN " MEMBERSHIPS_HAVE_GRANTORS " AND a.grantor <> 10 THEN ' GRANTED BY ' || a.grantor::regrole ELSE '' END, " \
	"CASE WHEN x.dependent IS NOT NULL THEN ' CASCADE' ELSE '' END), E'\\n' ORDER BY a.grantor) " \
	"FROM pg_auth_members a JOIN pg_authid g ON g.oid = a.roleid JOIN pg_authid m ON m.oid = a.member " \
	"CROSS JOIN LATERAL (SELECT string_agg(DISTINCT d.member::regrole::text, ', ') AS dependent FROM pg_auth_members d " \
	"WHERE d.roleid = a.roleid AND d.grantor = a.member AND " MEMBERSHIPS_HAVE_GRANTORS ") x " \
	"WHERE " kind " AND NOT m.rolsuper GROUP BY m.rolname, g.rolname, x.dependent"

static const DbopsRule rules[] = {
	{
		.name = "roles.superuser",
		.severity = DBOPS_WARNING,
		.about = "superusers, apart from the role that the cluster was made with",
		.source = "guide 003's quarterly audit, Percona's advisors",
		.sql = "SELECT quote_ident(r.rolname), CASE WHEN r.rolcanlogin THEN 'it logs in as a superuser: no right keeps it from anything; as no superuser it has what it owns and was granted, and replicates only with REPLICATION'"
		" ELSE 'its members can become superuser' END,"
		" CASE WHEN EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'dbops' AND e.extowner = r.oid) THEN 'Let it stay one as long as dbops, which works with its rights, belongs to it.'"
		" WHEN NOT (SELECT b.rolcanlogin FROM pg_authid b WHERE b.oid = 10) THEN format('Choose a superuser that can log in, as %I cannot, and of the others ALTER ROLE ... NOSUPERUSER.', (SELECT b.rolname FROM pg_authid b WHERE b.oid = 10))"
		" WHEN NOT r.rolreplication AND EXISTS (SELECT FROM pg_stat_get_activity(NULL) s WHERE s.usesysid = r.oid AND s.backend_type = 'walsender') THEN format('ALTER ROLE %I NOSUPERUSER REPLICATION;', r.rolname)"
		" ELSE format('ALTER ROLE %I NOSUPERUSER;', r.rolname) END, CASE WHEN NOT r.rolcanlogin THEN 'info' END"
		" FROM pg_authid r WHERE r.rolsuper AND r.oid <> 10",
		.as_owner = true
	},
	{
		.name = "roles.bypass_rls",
		.severity = DBOPS_WARNING,
		.about = "roles that row level security does not apply to",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(r.rolname), 'it sees and changes every row, whatever the policies say; without that, only what policies permit it', format('ALTER ROLE %I NOBYPASSRLS;', r.rolname)"
		" FROM pg_authid r WHERE r.rolbypassrls AND NOT r.rolsuper AND " IS_ROLE,
		.as_owner = true
	},
	{
		.name = "roles.create_role",
		.severity = DBOPS_INFO,
		.about = "roles that may create roles",
		.source = "PostgreSQL's manual",
		.sql = "SELECT quote_ident(r.rolname), CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'it may grant itself any role that is no superuser' ELSE 'it may create roles, and administer those that it has created' END,"
		" format('ALTER ROLE %I NOCREATEROLE;', r.rolname), CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'warning' END"
		" FROM pg_authid r WHERE r.rolcreaterole AND NOT r.rolsuper AND " IS_ROLE,
		.as_owner = true
	},
	{
		.name = "roles.replication",
		.severity = DBOPS_INFO,
		.about = "roles that may copy the whole cluster by replication, and do not now",
		.source = "PostgreSQL's manual",
		.sql = "SELECT quote_ident(r.rolname), 'it may copy every database of the cluster, and make replication slots that keep WAL', format('If no standby, backup or subscription logs in as it, ALTER ROLE %I NOREPLICATION.', r.rolname)"
		" FROM pg_authid r WHERE r.rolreplication AND r.rolcanlogin AND NOT r.rolsuper AND " IS_ROLE
		" AND NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) s WHERE s.usesysid = r.oid AND s.backend_type = 'walsender')",
		.as_owner = true
	},
	{
		.name = "roles.server_access",
		.severity = DBOPS_WARNING,
		.about = "members of the roles that reach programs and files of the machine, and so everything",
		.source = "PostgreSQL's manual",
		.sql = MEMBERSHIPS("as a member of %I it can become superuser by way of the machine''s files", "g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')"),
		.as_owner = true
	},
	{
		.name = "roles.superuser_member",
		.severity = DBOPS_WARNING,
		.about = "members of superusers, who become superuser by SET ROLE",
		.source = "PostgreSQL's manual",
		.sql = MEMBERSHIPS("as a member of %I it is superuser after SET ROLE, and so are its own members", "g.rolsuper AND (" IS_MEMBERSHIP("a") " OR a.admin_option)"),
		.as_owner = true
	},
	{
		.name = "roles.all_data",
		.severity = DBOPS_INFO,
		.about = "members of the roles that read or write every table",
		.source = "PostgreSQL's manual",
		.sql = MEMBERSHIPS("as a member of %I it reaches every table, of those too that are made later", "g.rolname IN ('pg_read_all_data', 'pg_write_all_data')"),
		.as_owner = true
	},
	{
		.name = "roles.no_password",
		.severity = DBOPS_INFO,
		.about = "roles that log in and have no password, where pg_hba.conf asks for one or for nothing",
		.source = "guide 003's quarterly audit",
		.sql = "WITH RECURSIVE " HBA_DOORS ", " LOGINS " SELECT quote_ident(r.rolname), CASE WHEN h.open THEN 'it has no password, and pg_hba.conf lets it in without one from other machines'"
		" WHEN h.trusted THEN 'it has no password, and pg_hba.conf lets it in without one on this machine' ELSE 'it has no password: it cannot log in where pg_hba.conf asks for one' END,"
		" format('Give it a password, as with \\password %I in psql, or let it not log in: ALTER ROLE %I NOLOGIN.', r.rolname, r.rolname), CASE WHEN h.open THEN 'critical' END"
		" FROM heard h CROSS JOIN LATERAL unnest(h.roles) u (role) JOIN login r ON r.oid = u.role WHERE r.oid <> 10 OR h.open",
		.as_owner = true
	},
	{
		.name = "roles.md5_password",
		.severity = DBOPS_WARNING,
		.about = "passwords that are kept as md5, which whoever reads them can log in with",
		.source = "guide 003's quarterly audit, PostgreSQL 18's manual",
		.sql = "SELECT quote_ident(r.rolname), 'its password is kept as md5: whoever reads that can log in with it, and PostgreSQL will stop taking it',"
		" format('Give it its password again, as with \\password %I in psql, when password_encryption is scram-sha-256.', r.rolname)"
		" FROM pg_authid r WHERE r.rolcanlogin AND r.rolpassword LIKE 'md5%'",
		.as_owner = true
	},
	{
		.name = "roles.password_expiring",
		.severity = DBOPS_WARNING,
		.about = "passwords that end within 30 days, or have ended",
		.source = "guide 003's quarterly audit, check_pgactivity",
		.sql = "SELECT quote_ident(r.rolname), format(CASE WHEN r.rolvaliduntil < $4 THEN 'its password has ended%s: it cannot log in with it' ELSE 'its password ends%s' END,"
		" ' at ' || to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'),"
		" CASE WHEN r.rolvaliduntil < $4 THEN format('Give it a new password, as with \\password %I in psql, and a new VALID UNTIL; or drop it, if nobody needs it.', r.rolname)"
		" ELSE format('Give it a new password, as with \\password %I in psql, and a new VALID UNTIL.', r.rolname) END, CASE WHEN r.rolvaliduntil < $4 - " EXPIRES_SOON " THEN 'info' END"
		" FROM pg_authid r WHERE r.rolcanlogin AND r.rolpassword IS NOT NULL AND r.rolvaliduntil <= $4 + " EXPIRES_SOON,
		.as_owner = true
	},
	{
		.name = "roles.owns_and_is_gone",
		.severity = DBOPS_WARNING,
		.about = "roles that nobody can log in as, or whose password has ended, and that own objects",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(r.rolname), format(CASE WHEN o.count = 1 THEN '%s, and it owns %s object in %s' ELSE '%s, and it owns %s objects in %s' END,"
		" CASE WHEN r.rolcanlogin THEN 'its password has ended' || coalesce(' at ' || to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD'), '') ELSE 'it cannot log in and has no members' END, o.count, o.databases),"
		" format('In each of them, REASSIGN OWNED BY %I TO a role of no more rights: functions of SECURITY DEFINER run as their owner.', r.rolname)"
		" FROM pg_authid r CROSS JOIN LATERAL (SELECT count(*) AS count, string_agg(DISTINCT coalesce(quote_ident(d.datname), 'all databases'), ', ') AS databases"
		" FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND s.deptype = 'o') o"
		" WHERE o.count > 0 AND NOT r.rolsuper AND " IS_ROLE
		" AND CASE WHEN r.rolcanlogin THEN r.rolvaliduntil < $4 ELSE NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND " IS_MEMBERSHIP("m") ") END",
		.as_owner = true
	}
};

const DbopsRuleSet dbops_role_rules = {.review = "privileges", .rules = rules, .n_rules = lengthof(rules)};
