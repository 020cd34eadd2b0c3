/*
 * review_roles.c
 *		Rules about roles: who is above all rules, who logs in how, and who is gone and
 *		still owns something.
 *
 * Passwords are looked at for how they are kept; nothing of them is shown. The
 * role that the cluster was made with is a superuser by birth.
 */
#include "advise/review.h"


/* How long before its end a password is told of. */
#define EXPIRES_SOON	"interval '30 days'"

/* A role of a user: the server's own, of pg_, are none. */
#define IS_ROLE			"r.rolname !~ '^pg_'"

static const DbopsRule rules[] = {
	{
		.name = "roles.superuser",
		.severity = DBOPS_WARNING,
		.about = "superusers, apart from the role that the cluster was made with",
		.source = "guide 003's quarterly audit, Percona's advisors",
		.sql = "SELECT quote_ident(r.rolname), CASE WHEN r.rolcanlogin THEN 'it logs in as a superuser: no right keeps it from anything' ELSE 'its members can become superuser' END,"
		" format('ALTER ROLE %I NOSUPERUSER;', r.rolname), CASE WHEN NOT r.rolcanlogin THEN 'info' END"
		" FROM pg_authid r WHERE r.rolsuper AND r.oid <> 10",
		.as_owner = true
	},
	{
		.name = "roles.bypass_rls",
		.severity = DBOPS_WARNING,
		.about = "roles that row level security does not apply to",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(r.rolname), 'it sees and changes every row, whatever the policies say', format('ALTER ROLE %I NOBYPASSRLS;', r.rolname)"
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
		.about = "roles that may copy the whole cluster by replication",
		.source = "PostgreSQL's manual",
		.sql = "SELECT quote_ident(r.rolname), 'it may copy every database of the cluster, and make replication slots that keep WAL', format('ALTER ROLE %I NOREPLICATION;', r.rolname)"
		" FROM pg_authid r WHERE r.rolreplication AND r.rolcanlogin AND NOT r.rolsuper AND " IS_ROLE,
		.as_owner = true
	},
	{
		.name = "roles.server_access",
		.severity = DBOPS_WARNING,
		.about = "members of the roles that reach programs and files of the machine, and so everything",
		.source = "PostgreSQL's manual",
		.sql = "SELECT format('%I in %I', m.rolname, g.rolname), format('as a member of %I it can become superuser by way of the machine''s files', g.rolname), format('REVOKE %I FROM %I;', g.rolname, m.rolname)"
		" FROM pg_auth_members a JOIN pg_authid g ON g.oid = a.roleid JOIN pg_authid m ON m.oid = a.member"
		" WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files') AND NOT m.rolsuper",
		.as_owner = true
	},
	{
		.name = "roles.no_password",
		.severity = DBOPS_INFO,
		.about = "roles that log in and have no password",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(r.rolname), CASE WHEN t.trusted THEN 'it has no password, and pg_hba.conf lets it in without one from other machines' ELSE 'it has no password: it logs in only where pg_hba.conf asks for none' END,"
		" format('ALTER ROLE %I NOLOGIN; or give it a password, as with \\password in psql', r.rolname), CASE WHEN t.trusted THEN 'critical' END"
		" FROM pg_authid r CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_hba_file_rules() h WHERE h.auth_method = 'trust' AND h.type LIKE 'host%'"
		" AND coalesce(h.address NOT IN ('::1', 'localhost', 'samehost') AND h.address NOT LIKE '127.%', true) AND (h.user_name && ARRAY['all', r.rolname::text])) AS trusted) t"
		" WHERE r.rolcanlogin AND r.rolpassword IS NULL AND " IS_ROLE " AND (r.oid <> 10 OR t.trusted)",
		.as_owner = true
	},
	{
		.name = "roles.md5_password",
		.severity = DBOPS_WARNING,
		.about = "passwords that are kept as md5, which whoever reads them can log in with",
		.source = "guide 003's quarterly audit, PostgreSQL 18's manual",
		.sql = "SELECT quote_ident(r.rolname), 'its password is kept as md5: whoever reads that can log in with it, and PostgreSQL will stop taking it',"
		" format('Set password_encryption to scram-sha-256 and give %I its password again, as with \\password %I in psql.', r.rolname, r.rolname)"
		" FROM pg_authid r WHERE r.rolcanlogin AND r.rolpassword LIKE 'md5%'",
		.as_owner = true
	},
	{
		.name = "roles.password_expiring",
		.severity = DBOPS_WARNING,
		.about = "passwords that end within 30 days",
		.source = "guide 003's quarterly audit, check_pgactivity",
		.sql = "SELECT quote_ident(r.rolname), format('its password ends at %s', to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'),"
		" format('ALTER ROLE %I VALID UNTIL %L; with a new password', r.rolname, to_char(($4 + interval '90 days') AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ' UTC')"
		" FROM pg_authid r WHERE r.rolcanlogin AND r.rolpassword IS NOT NULL AND r.rolvaliduntil BETWEEN $4 AND $4 + " EXPIRES_SOON,
		.as_owner = true
	},
	{
		.name = "roles.owns_and_is_gone",
		.severity = DBOPS_WARNING,
		.about = "roles that nobody can log in as, or whose password has ended, and that own objects",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(r.rolname), format(CASE WHEN o.count = 1 THEN '%s, and it owns %s object in %s' ELSE '%s, and it owns %s objects in %s' END,"
		" CASE WHEN r.rolcanlogin THEN 'its password has ended at ' || to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD') ELSE 'it cannot log in and has no members' END, o.count, o.databases),"
		" format('In each of them, REASSIGN OWNED BY %I TO a role of no more rights: functions of SECURITY DEFINER run as their owner.', r.rolname)"
		" FROM pg_authid r CROSS JOIN LATERAL (SELECT count(*) AS count, string_agg(DISTINCT coalesce(quote_ident(d.datname), 'all databases'), ', ') AS databases"
		" FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND s.deptype = 'o') o"
		" WHERE o.count > 0 AND NOT r.rolsuper AND " IS_ROLE
		" AND CASE WHEN r.rolcanlogin THEN r.rolvaliduntil < $4 ELSE NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid) END",
		.as_owner = true
	}
};

const DbopsRuleSet dbops_role_rules = {.review = "privileges", .rules = rules, .n_rules = lengthof(rules)};
