/*
 * migration_effect.c
 *		What a statement does to tables, as the server says while it does it.
 *
 * The server's messages name a relation without its schema, and the hook that
 * hears them may not look into the catalog. So they are understood when the
 * statement has ended: a relation that a message is about is one that this
 * session holds, or held when the message came, whose name makes that text.
 *
 * What is built or looked through for a table that the same statement creates,
 * or has emptied by TRUNCATE, is left out: there are no rows.
 */
#include "change/migration_watch.h"

#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/* A relation that a message can be about. */
typedef struct Candidate
{
	Oid			relid;
	const char *name;			/* as messages have it */
	const char *table;			/* of an index, the same of its table; else NULL */
	bool		empty;			/* it, or its table, had no rows to begin with */
} Candidate;

/* A text in the server's source, and what stands before and after the names in it. */
typedef struct Saying
{
	const char *message_id;
	const char *before;
	const char *after;
	bool		(*is_about) (const Candidate *candidate, const char *names);
	MigrationEffect effect;		/* metadata: something is proved without a scan */
} Saying;

static bool is_relation(const Candidate *candidate, const char *names);
static bool is_index(const Candidate *candidate, const char *names);
static bool has_column(const Candidate *candidate, const char *names);
static bool has_constraint(const Candidate *candidate, const char *names);

static const Saying sayings[] = {
	{
		"rewriting table \"%s\"",
		"rewriting table \"", "\"",
		is_relation, EFFECT_REWRITE
	},
	{
		"verifying table \"%s\"",
		"verifying table \"", "\"",
		is_relation, EFFECT_SCAN
	},
	{
		"validating foreign key constraint \"%s\"",
		"validating foreign key constraint \"", "\"",
		has_constraint, EFFECT_SCAN
	},
	{
		"building index \"%s\" on table \"%s\" serially",
		"building index \"", "\" serially",
		is_index, EFFECT_INDEX
	},
	{
		"building index \"%s\" on table \"%s\" with request for %d parallel workers",
		"building index \"", "\" with request for ",
		is_index, EFFECT_INDEX
	},
	{
		"existing constraints on column \"%s.%s\" are sufficient to prove that it does not contain nulls",
		"existing constraints on column \"", "\" are sufficient to prove ",
		has_column, EFFECT_METADATA
	},
	{
		"partition constraint for table \"%s\" is implied by existing constraints",
		"partition constraint for table \"", "\" is implied by ",
		is_relation, EFFECT_METADATA
	},
	{
		"updated partition constraint for default partition \"%s\" is implied by existing constraints",
		"updated partition constraint for default partition \"", "\" is implied by ",
		is_relation, EFFECT_METADATA
	},
};

static const Saying *find_saying(const char *message_id);
static List *find_candidates(slist_head *told, const HeldLocks *before,
							 const HeldLocks *seen, ObjectEvents *events);
static bool is_mentioned(slist_head *told, Oid relid);
static bool mentions_constraint(slist_head *told);
static bool is_known(Oid relid);
static bool is_empty(Oid relid, const HeldLocks *before, ObjectEvents *events);
static void tell_copied(MigrationEffects *effects, const HeldLocks *before,
						 ObjectEvents *events);
static bool is_swapped(ObjectEvents *events, const char *name);
static void tell_silent(MigrationEffects *effects, const HeldLocks *before,
						const HeldLocks *seen, ObjectEvents *events);
static void understand(MigrationEffects *effects, const Saying *saying,
					   const char *names, List *candidates);
static char *cut_names(const char *text, const Saying *saying);
static void tell(MigrationEffects *effects, MigrationEffect effect, char *name);
static char *name_told(const Candidate *candidate, const Saying *saying, const char *names);

/* Does the server say what it does to a table? */
bool
dbops_effect_is_told(const ErrorData *error)
{
	return error->elevel == DEBUG1 && error->message_id != NULL &&
		find_saying(error->message_id) != NULL;
}

/*
 * Understand what the server has said, of the relations that were seen to be
 * locked. A message whose relation has gone by now is of no interest.
 */
MigrationEffects
dbops_effects_find(slist_head *told, const HeldLocks *before,
				   const HeldLocks *seen, ObjectEvents *events)
{
	MigrationEffects effects = {0};
	List	   *candidates = NIL;
	slist_iter	iter;

	tell_copied(&effects, before, events);
	if (!slist_is_empty(told))
		candidates = find_candidates(told, before, seen, events);
	slist_foreach(iter, told)
	{
		Note	   *note = slist_container(Note, link, iter.cur);
		const Saying *saying = find_saying(note->message_id);
		char	   *names = cut_names(note->text, saying);

		if (saying->effect != EFFECT_REWRITE || !is_swapped(events, names))
			understand(&effects, saying, names, candidates);
	}
	tell_silent(&effects, before, seen, events);
	return effects;
}

/* Tell the scans that the server does not speak of, but for those that it says are needless. */
static void
tell_silent(MigrationEffects *effects, const HeldLocks *before,
			const HeldLocks *seen, ObjectEvents *events)
{
	ListCell   *lc;

	foreach(lc, dbops_silent_scans(events, before, seen))
	{
		char	   *name = dbops_quote_relation(lfirst_oid(lc));

		if (!is_empty(lfirst_oid(lc), before, events) && !dbops_texts_have(effects->proved, name))
			tell(effects, EFFECT_SCAN, name);
	}
}

const char *
dbops_effect_name(MigrationEffect effect)
{
	switch (effect)
	{
		case EFFECT_NONE:
			return NULL;
		case EFFECT_METADATA:
			return "metadata";
		case EFFECT_ROWS:
			return "rows";
		case EFFECT_SCAN:
			return "scan";
		case EFFECT_INDEX:
			return "index build";
		case EFFECT_REWRITE:
			return "rewrite";
	}
	return NULL;				/* keep the compiler quiet */
}

/* Was a relation created in this transaction, so that no other session knows it? */
bool
dbops_relation_is_new(Oid relid)
{
	Relation	relation = RelationIdGetRelation(relid);
	bool		new;

	if (relation == NULL)
		return false;
	new = relation->rd_createSubid != InvalidSubTransactionId;
	RelationClose(relation);
	return new;
}

static const Saying *
find_saying(const char *message_id)
{
	for (int i = 0; i < lengthof(sayings); i++)
		if (strcmp(sayings[i].message_id, message_id) == 0)
			return &sayings[i];
	return NULL;
}

/* A migration may hold thousands of locks, and few of those relations have such a name. */
static List *
find_candidates(slist_head *told, const HeldLocks *before,
				const HeldLocks *seen, ObjectEvents *events)
{
	List	   *candidates = NIL;

	for (int i = 0; i < seen->n; i++)
	{
		Candidate  *candidate;
		Oid			table;

		if (!is_mentioned(told, seen->locks[i].relid) && !mentions_constraint(told))
			continue;
		if (!is_known(seen->locks[i].relid))
			continue;
		table = IndexGetRelation(seen->locks[i].relid, true);
		candidate = palloc0(sizeof(Candidate));
		candidate->relid = seen->locks[i].relid;
		candidate->name = get_rel_name(candidate->relid);
		candidate->table = get_rel_name(table);
		candidate->empty = is_empty(OidIsValid(table) ? table : candidate->relid, before, events);
		candidates = lappend(candidates, candidate);
	}
	return candidates;
}

/* Does a message have its name in it? */
static bool
is_mentioned(slist_head *told, Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		mentioned = false;
	slist_iter	iter;

	if (!HeapTupleIsValid(tuple))
		return false;
	slist_foreach(iter, told)
		mentioned |= strstr(slist_container(Note, link, iter.cur)->text,
							NameStr(((Form_pg_class) GETSTRUCT(tuple))->relname)) != NULL;
	ReleaseSysCache(tuple);
	return mentioned;
}

/* A message about a foreign key has the name of that only. */
static bool
mentions_constraint(slist_head *told)
{
	slist_iter	iter;

	slist_foreach(iter, told)
		if (find_saying(slist_container(Note, link, iter.cur)->message_id)->is_about == has_constraint)
			return true;
	return false;
}

/* Is it still there, and something that people know? Toast is not. */
static bool
is_known(Oid relid)
{
	return get_rel_relkind(relid) != '\0' && get_rel_namespace(relid) != PG_TOAST_NAMESPACE;
}

/* What is created is locked from then on to the end of the transaction, so it was so before. */
static bool
is_empty(Oid relid, const HeldLocks *before, ObjectEvents *events)
{
	return (dbops_locks_on(before, relid) == 0 && dbops_relation_is_new(relid)) ||
		dbops_objects_truncated(events, relid);
}

/*
 * Tell which relations have new storage that their rows were copied to: that of
 * a heap that was swapped with it, or a copy of the files in another tablespace.
 */
static void
tell_copied(MigrationEffects *effects, const HeldLocks *before, ObjectEvents *events)
{
	List	   *copied = list_concat_unique_oid(list_copy(events->swapped),
												dbops_objects_moved(events));
	ListCell   *lc;

	foreach(lc, copied)
		if (is_known(lfirst_oid(lc)) && !is_empty(lfirst_oid(lc), before, events))
			tell(effects, EFFECT_REWRITE, dbops_quote_relation(lfirst_oid(lc)));
}

/* Is that one of them? They are known by OID, which the message does without. */
static bool
is_swapped(ObjectEvents *events, const char *name)
{
	ListCell   *lc;

	foreach(lc, events->swapped)
	{
		const char *swapped = get_rel_name(lfirst_oid(lc));

		if (swapped != NULL && strcmp(swapped, name) == 0)
			return true;
	}
	return false;
}

static void
understand(MigrationEffects *effects, const Saying *saying,
		   const char *names, List *candidates)
{
	ListCell   *lc;

	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);

		if (!candidate->empty && saying->is_about(candidate, names))
			tell(effects, saying->effect, name_told(candidate, saying, names));
	}
}

static bool
is_relation(const Candidate *candidate, const char *names)
{
	return strcmp(candidate->name, names) == 0;
}

/* While it is rebuilt by REINDEX CONCURRENTLY, it has a name of its own. */
static bool
is_index(const Candidate *candidate, const char *names)
{
	return candidate->table != NULL &&
		(strcmp(psprintf("%s\" on table \"%s", candidate->name, candidate->table), names) == 0 ||
		 strcmp(psprintf("%s_ccnew\" on table \"%s", candidate->name, candidate->table), names) == 0);
}

static bool
has_column(const Candidate *candidate, const char *names)
{
	size_t		length = strlen(candidate->name);

	return strncmp(candidate->name, names, length) == 0 && names[length] == '.' &&
		get_attnum(candidate->relid, names + length + 1) != InvalidAttrNumber;
}

/* The referencing table of a foreign key: all its rows are looked up. */
static bool
has_constraint(const Candidate *candidate, const char *names)
{
	return OidIsValid(get_relation_constraint_oid(candidate->relid, names, true));
}

/* Cut the names out of a message. Names may have quotes in them. */
static char *
cut_names(const char *text, const Saying *saying)
{
	const char *start = text + strlen(saying->before);
	const char *end = start;

	for (const char *next = strstr(start, saying->after); next != NULL;
		 next = strstr(next + 1, saying->after))
		end = next;
	return pnstrdup(start, end - start);
}

static char *
name_told(const Candidate *candidate, const Saying *saying, const char *names)
{
	char	   *name = dbops_quote_relation(candidate->relid);

	if (saying->is_about != has_column)
		return name;
	return psprintf("%s.%s", name, dbops_quote_name(names + strlen(candidate->name) + 1));
}

/* Tell a relation, once, and what is the worst. */
static void
tell(MigrationEffects *effects, MigrationEffect effect, char *name)
{
	List	  **list = effect == EFFECT_REWRITE ? &effects->rewritten :
		effect == EFFECT_INDEX ? &effects->indexed :
		effect == EFFECT_SCAN ? &effects->scanned : &effects->proved;

	effects->worst = Max(effects->worst, effect);
	if (!dbops_texts_have(*list, name))
		*list = lappend(*list, name);
}
