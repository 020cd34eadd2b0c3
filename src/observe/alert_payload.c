/*
 * alert_payload.c
 *		What listeners get: level, message, details, timestamp and more.
 *
 * The first four are what the guides' sendAlert takes. NOTIFY carries less than
 * 8,000 bytes, so that of many details the last ones are left out.
 */
#include "observe/alert.h"
#include "observe/shared_text.h"

#include "commands/dbcommands.h"
#include "core/server.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define MOST_BYTES		7900

static List *collect_details(const AlertNews *news);
static Jsonb *build(int64 id, const AlertNews *news, const List *details);
static void put_state(DbopsJson *json, const AlertNews *news);
static const char *level_of(const AlertNews *news);
static char *headline(const AlertNews *news);
static char *in_databases(const AlertNews *news);
static char *text_of(const AlertEntry *entry, const char *text);
static char *database_of(const AlertEntry *entry);
static Size bytes_of(Jsonb *payload);

/* Make the document that is told of an event. */
Jsonb *
dbops_alert_payload(int64 id, const AlertNews *news)
{
	List	   *details = collect_details(news);
	Jsonb	   *payload = build(id, news, details);

	while (details != NIL && bytes_of(payload) > MOST_BYTES)
	{
		details = list_truncate(details, list_length(details) - 1);
		payload = build(id, news, details);
	}
	return payload;
}

/* Make one that tells no more than that there is something to look up. */
Jsonb *
dbops_alert_brief(int64 id, const AlertNews *news)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "level", level_of(news));
	dbops_json_text(&json, "message", (id != 0) ?
					psprintf("an alert: see event " INT64_FORMAT " of dbops.alert_history()", id) :
					"an alert of another database: see its dbops.alert_history()");
	dbops_json_array(&json, "details");
	dbops_json_array_end(&json);
	dbops_json_time(&json, "timestamp", news->at);
	dbops_json_integer(&json, "id", id);
	dbops_json_text(&json, "database", database_of(&news->entry));
	return dbops_json_finish(&json);
}

/* What was found, what to do, then the objects one by one. */
static List *
collect_details(const AlertNews *news)
{
	List	   *details = list_make1(text_of(&news->entry, news->entry.message));

	if (news->entry.remedy[0] != '\0' && news->step.event != ALERT_ENDS)
		details = lappend(details, text_of(&news->entry, news->entry.remedy));
	for (int i = 0; i < news->detail_bytes; i += strlen(news->details + i) + 1)
		details = lappend(details, text_of(&news->entry, news->details + i));
	return details;
}

static Jsonb *
build(int64 id, const AlertNews *news, const List *details)
{
	const AlertEntry *entry = &news->entry;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "level", level_of(news));
	dbops_json_text(&json, "message", headline(news));
	dbops_json_texts(&json, "details", details);
	dbops_json_time(&json, "timestamp", news->at);
	dbops_json_integer(&json, "id", id);
	dbops_json_text(&json, "key", text_of(entry, dbops_alert_key(entry)));
	dbops_json_text(&json, "check_name", text_of(entry, entry->check_name));
	dbops_json_text(&json, "object", entry->has_object ? text_of(entry, entry->object) : NULL);
	dbops_json_text(&json, "database", database_of(entry));
	put_state(&json, news);
	return dbops_json_finish(&json);
}

static void
put_state(DbopsJson *json, const AlertNews *news)
{
	const AlertEntry *entry = &news->entry;

	dbops_json_text(json, "event", dbops_alert_event_name(news->step.event));
	dbops_json_text(json, "state", dbops_alert_state_name(entry->alert.state));
	dbops_json_text(json, "before", dbops_severity_name(news->step.before));
	if (isnan(entry->alert.value))
		dbops_json_null(json, "value");
	else
		dbops_json_decimal(json, "value", entry->alert.value);
	dbops_json_text(json, "unit", entry->unit[0] != '\0' ? text_of(entry, entry->unit) : NULL);
	dbops_json_time(json, "since", entry->alert.since);
	dbops_json_integer(json, "objects", Max(entry->objects, 1));
}

static const char *
level_of(const AlertNews *news)
{
	return (news->step.event == ALERT_ENDS) ? "ok" : dbops_severity_name(news->entry.alert.severity);
}

static char *
headline(const AlertNews *news)
{
	const AlertEntry *entry = &news->entry;
	const char *check_name = text_of(entry, entry->check_name);
	const char *subject = !entry->has_object ? check_name :
		dbops_alert_is_about_databases(entry) ? in_databases(news) :
		(entry->objects > 0) ? psprintf("%s of %d objects", check_name, entry->objects) :
		psprintf("%s of %s", check_name, text_of(entry, entry->object));

	switch (news->step.event)
	{
		case ALERT_ENDS:
			return psprintf("%s is ok again after %s", subject,
							dbops_figure_duration((news->at - entry->alert.since) / (double) USECS_PER_SEC));
		case ALERT_REPEATS:
			return psprintf("%s is still %s, for %s", subject, level_of(news),
							dbops_figure_duration((news->at - entry->alert.since) / (double) USECS_PER_SEC));
		default:
			return psprintf("%s is %s", subject, level_of(news));
	}
}

/* It is over when few are left. */
static char *
in_databases(const AlertNews *news)
{
	const char *check_name = text_of(&news->entry, news->entry.object);

	if (news->step.event == ALERT_ENDS)
		return psprintf("%s in many databases", check_name);
	return psprintf("%s in %d databases", check_name, news->entry.objects);
}

/* Texts and names that another database made are told in the encoding of this one. */
static char *
text_of(const AlertEntry *entry, const char *text)
{
	return dbops_shared_text_from(text, entry->encoding);
}

/* NULL: it is the cluster's, or gone. */
static char *
database_of(const AlertEntry *entry)
{
	char	   *name = OidIsValid(entry->database) ? get_database_name(entry->database) : NULL;

	return (name == NULL) ? NULL : dbops_shared_text_get(name);
}

static Size
bytes_of(Jsonb *payload)
{
	return strlen(JsonbToCString(NULL, &payload->root, VARSIZE(payload)));
}
