/*
 * rule.h
 *		The registry of the rules of reviews.
 *
 * An area registers a table of rules; whoever mutes a finding or turns a rule
 * on or off finds it here by its name. A rule of the same name as a health check
 * finds the same things under the same keys, so that a mute serves both.
 */
#ifndef DBOPS_RULE_H
#define DBOPS_RULE_H

#include "core/core.h"

typedef struct DbopsReview DbopsReview; /* a review that is running: of whoever runs it */

typedef struct DbopsRule
{
	const char *name;			/* what it looks at, a dot, and at which aspect */
	DbopsSeverity severity;		/* of what it finds, unless a row says otherwise */
	bool		off;			/* a matter of taste: only for who asks for it */
	const char *about;			/* what it finds, in a phrase */
	const char *source;			/* of the rule, in a few words */
	const char *sql;			/* whose rows are object, message, remedy and, if it differs, severity; or NULL */
	DbopsRowCallback take;		/* of the rows, where they are others; arg is the review; NULL: they are those */
	void		(*judge) (DbopsReview *review); /* where it is no query */
	bool		as_owner;		/* the query needs the rights of the extension's owner */
} DbopsRule;

typedef struct DbopsRuleSet
{
	const char *review;			/* "schema", "settings", "privileges" or "lint" */
	const DbopsRule *rules;
	int			n_rules;
} DbopsRuleSet;

/* What somebody else calls a rule; one name may stand for several, and several for one. */
typedef struct DbopsRuleAlias
{
	const char *name;
	const char *rule;
} DbopsRuleAlias;

/* ---- what a rule and a health check of the same name both ask ---- */

/* Triggers that do not fire; those that keep a constraint are one, by its name. */
#define DBOPS_DISABLED_TRIGGERS \
	"(SELECT format('%s.%I', t.tgrelid::regclass, t.tgname) AS object, 'the trigger is disabled' AS message, " \
	"format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname) AS remedy, false AS is_constraint, t.tgrelid AS relation, t.oid " \
	"FROM pg_trigger t WHERE t.tgenabled = 'D' AND NOT t.tgisinternal AND NOT EXISTS (SELECT FROM pg_trigger p WHERE p.oid = t.tgparentid AND p.tgenabled = 'D') " \
	"UNION ALL SELECT format('%s.%I', k.conrelid::regclass, k.conname), " \
	"format('its triggers on %s are disabled, so that nothing checks it there, and what was written meanwhile is unchecked', string_agg(DISTINCT t.tgrelid::regclass::text, ' and ')), " \
	"string_agg(format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname), E'\\n' ORDER BY t.tgrelid::regclass::text, t.oid), true, k.conrelid, k.oid " \
	"FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint WHERE t.tgenabled = 'D' AND t.tgisinternal " \
	"AND NOT EXISTS (SELECT FROM pg_trigger p WHERE p.oid = t.tgparentid AND p.tgenabled = 'D') GROUP BY k.oid, k.conrelid, k.conname)"

/* Constraints of tables and domains that were declared and not validated; relation is 0 for a domain's. */
#define DBOPS_NOT_VALID_CONSTRAINTS \
	"(SELECT format('%s.%I', CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text ELSE k.contypid::regtype::text END, k.conname) AS object, " \
	"CASE WHEN k.conrelid <> 0 THEN 'rows that were there before need not fulfil it, and the planner may not rely on it' ELSE 'values that were there before need not fulfil it' END AS message, " \
	"CASE WHEN k.conrelid <> 0 THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', k.conrelid::regclass, k.conname) " \
	"ELSE format('ALTER DOMAIN %s VALIDATE CONSTRAINT %I;', k.contypid::regtype, k.conname) END AS remedy, k.conrelid AS relation, k.connamespace AS namespace, k.oid " \
	"FROM pg_constraint k WHERE NOT k.convalidated AND (k.conrelid <> 0 OR k.contypid <> 0) AND k.conparentid = 0 AND k.coninhcount = 0 AND NOT (" CONSTRAINT_IS_NOT_ENFORCED("k") "))"

extern void dbops_rule_register(const DbopsRuleSet *set);
extern const DbopsRule *dbops_rule_at(int number, const char **review); /* from 0; NULL: there are no more */
extern const DbopsRule *dbops_rule_find(const char *name);
extern void dbops_rule_register_aliases(const DbopsRuleAlias *list, int n);
extern bool dbops_rule_is_alias(const char *rule, const char *name);
extern const char *dbops_rule_alias_at(int number); /* from 0; NULL: there are no more */
extern List *dbops_rule_named(const char *name);	/* of DbopsRule *: of its own name or somebody else's */

/* ---- query.c: for who judges a catalog that others change ---- */

extern uint64 dbops_query_latest(const char *sql, int nparams, const DbopsParam *params, DbopsRowCallback each, void *arg);

#endif							/* DBOPS_RULE_H */
