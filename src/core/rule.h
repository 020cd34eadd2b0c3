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
	const char *review;			/* "schema", "settings" or "privileges" */
	const DbopsRule *rules;
	int			n_rules;
} DbopsRuleSet;

extern void dbops_rule_register(const DbopsRuleSet *set);
extern const DbopsRule *dbops_rule_at(int number, const char **review); /* from 0; NULL: there are no more */
extern const DbopsRule *dbops_rule_find(const char *name);

#endif							/* DBOPS_RULE_H */
