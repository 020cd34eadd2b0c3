/*
 * openmetrics.c
 *		openmetrics(): what is sampled, and what the checks found, for those who scrape.
 *
 * The text format of Prometheus, version 0.0.4, or that of OpenMetrics 1.0, which
 * differs in what a counter's family is called: to read one as the other loses
 * types, or fails. Names begin with dbops_, so that none is another exporter's;
 * units are seconds, bytes and ratios, and counters end in _total, as both formats
 * want. The lines of a family stand together. What is not known is left out.
 */
#include "observe/verdict.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define MOST_OBJECTS	200		/* findings that are shown, the gravest first */
#define LONGEST_NAME	128		/* of a family */

PG_FUNCTION_INFO_V1(dbops_openmetrics);

/* The samples of one database. */
typedef struct Sampled
{
	const char *name;
	Sample		sample;
} Sampled;

static text *as_openmetrics(char *prometheus);
static void put_cluster(StringInfo text);
static void put_databases(StringInfo text);
static List *read_databases(void);
static void put_collector(StringInfo text);
static void put_findings(StringInfo text);
static int	number_of(const DbopsFinding *finding);
static void begin_family(StringInfo text, const char *name, const char *type, const char *about);
static void family_name(char *name, const char *prefix, const Metric *metric);
static bool ends_with(const char *text, const char *end);
static double in_base_unit(const Metric *metric, double value);
static void put_value(StringInfo text, double value);
static void put_label(StringInfo text, const char *label, const char *value);

/* openmetrics(strict boolean) → text */
Datum
dbops_openmetrics(PG_FUNCTION_ARGS)
{
	StringInfoData text;
	Sample		newest;

	if (dbops_ring_is_own() && !dbops_ring_newest(InvalidOid, &newest))
		dbops_collector_sample();
	initStringInfo(&text);
	put_cluster(&text);
	put_databases(&text);
	put_collector(&text);
	put_findings(&text);
	appendStringInfoString(&text, "# EOF\n");
	if (PG_GETARG_BOOL(0))
		PG_RETURN_TEXT_P(as_openmetrics(text.data));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/*
 * There _total is of a counter's samples and not of its family, and nothing may
 * follow the end, as the line feed would that psql adds.
 */
static text *
as_openmetrics(char *prometheus)
{
	StringInfoData strict;
	char	   *rest = prometheus;
	char	   *line;

	initStringInfo(&strict);
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0')
	{
		int			name = strlen("# TYPE ");
		char	   *end = strstr(line, "_total ");
		bool		of_family = strncmp(line, "# TYPE ", name) == 0 || strncmp(line, "# HELP ", name) == 0;

		if (strict.len > 0)
			appendStringInfoChar(&strict, '\n');
		if (of_family && end != NULL && end < line + name + strcspn(line + name, " "))
		{
			appendBinaryStringInfo(&strict, line, end - line);
			line = end + strlen("_total");
		}
		appendStringInfoString(&strict, line);
	}
	return cstring_to_text_with_len(strict.data, strict.len);
}

static void
put_cluster(StringInfo text)
{
	Sample		sample;

	if (!dbops_ring_newest(InvalidOid, &sample))
		return;
	for (int i = 0; i < N_CLUSTER_METRICS; i++)
	{
		const Metric *metric = &dbops_cluster_metrics[i];
		char		name[LONGEST_NAME];

		if (isnan(sample.values[i]))
			continue;
		family_name(name, "dbops", metric);
		begin_family(text, name, metric->kind == METRIC_COUNTER ? "counter" : "gauge", metric->about);
		appendStringInfoString(text, name);
		put_value(text, in_base_unit(metric, sample.values[i]));
	}
}

/* Of those that have samples, which are the ones that were used last. */
static void
put_databases(StringInfo text)
{
	List	   *databases = read_databases();

	for (int i = 0; i < N_DATABASE_METRICS; i++)
	{
		const Metric *metric = &dbops_database_metrics[i];
		char		name[LONGEST_NAME];
		bool		begun = false;
		ListCell   *cell;

		family_name(name, "dbops_database", metric);
		foreach(cell, databases)
		{
			const Sampled *database = lfirst(cell);

			if (isnan(database->sample.values[i]))
				continue;
			if (!begun)
				begin_family(text, name, metric->kind == METRIC_COUNTER ? "counter" : "gauge", metric->about);
			begun = true;
			appendStringInfo(text, "%s{", name);
			put_label(text, "datname", database->name);
			appendStringInfoChar(text, '}');
			put_value(text, in_base_unit(metric, database->sample.values[i]));
		}
	}
}

static List *
read_databases(void)
{
	Oid			oids[RING_DATABASES];
	int			n = dbops_ring_databases(oids);
	List	   *databases = NIL;

	for (int i = 0; i < n; i++)
	{
		Sampled    *database = palloc(sizeof(Sampled));

		database->name = get_database_name(oids[i]);
		if (database->name != NULL && dbops_ring_newest(oids[i], &database->sample))
			databases = lappend(databases, database);
	}
	return databases;
}

/* Whether the samples are new, without which the rest says little. */
static void
put_collector(StringInfo text)
{
	CollectorState state;

	dbops_collector_state(&state);
	if (state.last != 0)
	{
		begin_family(text, "dbops_collector_last_sample_timestamp_seconds", "gauge", "when the newest sample was taken");
		appendStringInfoString(text, "dbops_collector_last_sample_timestamp_seconds");
		put_value(text, (double) (state.last - time_t_to_timestamptz(0)) / USECS_PER_SEC);
	}
	begin_family(text, "dbops_collector_stale", "gauge", "1 when no sample has come for three ticks");
	appendStringInfo(text, "dbops_collector_stale %d\n", state.stale);
	begin_family(text, "dbops_collector_overruns_total", "counter", "ticks that took longer than a millisecond");
	appendStringInfo(text, "dbops_collector_overruns_total " INT64_FORMAT "\n", state.overruns);
	begin_family(text, "dbops_info", "gauge", "1, with the versions as labels");
	appendStringInfo(text, "dbops_info{version=\"%s\",server_version=\"%s\",role=\"%s\"} 1\n",
					 DBOPS_VERSION, PG_VERSION, RecoveryInProgress() ? "standby" : "primary");
}

/* One line for each finding; those that nobody wants to see are left out. */
static void
put_findings(StringInfo text)
{
	Verdict		verdict;
	int			shown = 0;
	ListCell   *cell;

	dbops_verdict_reach(&verdict, VERDICT_SERVED);
	begin_family(text, "dbops_check_status", "gauge", "0 ok or advice, 1 warning, 2 critical, 3 unknown");
	foreach(cell, verdict.findings)
	{
		const DbopsFinding *finding = lfirst(cell);

		if (finding->muted_until > dbops_clock_now() || ++shown > MOST_OBJECTS)
			continue;
		appendStringInfoString(text, "dbops_check_status{");
		put_label(text, "check", finding->check_name);
		appendStringInfoChar(text, ',');
		put_label(text, "object", finding->object == NULL ? "" : finding->object);
		appendStringInfo(text, "} %d\n", number_of(finding));
	}
	begin_family(text, "dbops_check_left_out", "gauge", "findings beyond those that are shown");
	appendStringInfo(text, "dbops_check_left_out %d\n", Max(0, shown - MOST_OBJECTS));
}

/* As the exit codes of Nagios. */
static int
number_of(const DbopsFinding *finding)
{
	if (finding->check != NULL && finding->check->advice)
		return 0;
	switch (finding->severity)
	{
		case DBOPS_WARNING:
			return 1;
		case DBOPS_CRITICAL:
			return 2;
		case DBOPS_UNKNOWN:
			return 3;
		default:
			return 0;
	}
}

static void
begin_family(StringInfo text, const char *name, const char *type, const char *about)
{
	appendStringInfo(text, "# HELP %s %s\n# TYPE %s %s\n", name, about, name, type);
}

/* dbops_temp_bytes_total of temp.bytes; only counters may end in _total. */
static void
family_name(char *name, const char *prefix, const Metric *metric)
{
	const char *unit = (strcmp(metric->unit, "s") == 0 || strcmp(metric->unit, "ms") == 0) ? "_seconds" :
		(strcmp(metric->unit, "percent") == 0) ? "_ratio" :
		(strcmp(metric->unit, "bytes") == 0) ? "_bytes" : "";

	snprintf(name, LONGEST_NAME, "%s_%s", prefix, metric->name);
	for (char *c = name; *c != '\0'; c++)
		if (*c == '.')
			*c = '_';
	if (ends_with(name, "_total"))
		name[strlen(name) - strlen("_total")] = '\0';
	if (!ends_with(name, unit))
		strlcat(name, unit, LONGEST_NAME);
	if (metric->kind == METRIC_COUNTER)
		strlcat(name, "_total", LONGEST_NAME);
}

static bool
ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static double
in_base_unit(const Metric *metric, double value)
{
	return (strcmp(metric->unit, "ms") == 0) ? value / 1000 :
		(strcmp(metric->unit, "percent") == 0) ? value / 100 : value;
}

static void
put_value(StringInfo text, double value)
{
	appendStringInfo(text, " %.17g\n", value);
}

/* A value may have any characters; three must be escaped. */
static void
put_label(StringInfo text, const char *label, const char *value)
{
	appendStringInfo(text, "%s=\"", label);
	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c == '\n')
			appendStringInfoString(text, "\\n");
		else if (*c == '"' || *c == '\\')
			appendStringInfo(text, "\\%c", *c);
		else
			appendStringInfoChar(text, *c);
	}
	appendStringInfoChar(text, '"');
}
