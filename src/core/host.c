/*
 * host.c
 *		CPUs, memory and pressure, as far as they are this server's.
 *
 * In a container the machine's figures say little: a limit of any control group
 * that this process is in, or of one above it, counts as well. Both versions of
 * control groups are read, which may be mounted beside each other; where a group
 * sees itself as the root, as in a namespace of its own, its limits stand there.
 * What is used for files in the page cache can be had back, and counts as left;
 * shared buffers do not.
 *
 * All comes from files of the kernel. What is not there is not known.
 */
#include "core/server.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "storage/fd.h"

#define MOST_MOUNTS		65536	/* bytes of the list of mounts that are read */
#define MOST_STATUS		8192	/* bytes of any other file */
#define NO_LIMIT		9e18	/* bytes: what version 1 writes is a bit more */
#define LOOK_AGAIN		(60 * USECS_PER_SEC)	/* whether it is in other groups, or they have other limits */

/* Where the control groups of a kind are, and the one that this process is in. */
typedef struct ControlGroup
{
	bool		found;
	bool		unified;		/* version 2 */
	char		mount[MAXPGPATH];
	char		path[MAXPGPATH];	/* below it; empty: its root */
} ControlGroup;

/* The groups that matter to this process, which stays in them as a rule. */
typedef struct Groups
{
	TimestampTz found_at;		/* 0: not yet */
	ControlGroup cpu;
	ControlGroup memory;
	ControlGroup unified;
	double		cpus;			/* that they allow; infinite: all */
	bool		limits_memory;	/* one of them does */
} Groups;

typedef void (*GroupLook) (const char *directory, bool unified, Host *host);

static void read_machine(const char *root, const char *events, Host *host);
static double count_cpus(const char *root);
static double count_listed(const char *list);
static bool find_groups(const char *root, Groups *groups);
static void find_limits(Groups *groups, const Host *machine);
static void find_group(const char *root, const char *cgroups, const char *mounts, const char *controller, ControlGroup *group);
static bool find_path(const char *cgroups, const char *controller, ControlGroup *group);
static bool find_mount(const char *root, const char *mounts, const char *controller, ControlGroup *group);
static bool is_mount_of(const char *line, const char *controller, bool unified);
static bool has_word(const char *words, const char *word, int length);
static void walk_group(const ControlGroup *group, GroupLook look, Host *host);
static void limit_cpus(const char *directory, bool unified, Host *host);
static void limit_memory(const char *directory, bool unified, Host *host);
static double count_kills(const ControlGroup *group, const char *events);
static double read_pressure(const char *root, const ControlGroup *group, const char *what);
static double some_of_a_minute(const char *text);
static char *read_file(const char *directory, const char *name, size_t most);
static double number_in(const char *directory, const char *name);
static double number_after(const char *text, const char *key);

/* Read all of it; root is put before every path, for tests. */
void
dbops_host_read(const char *root, Host *host)
{
	static Groups own_groups;
	Groups		other_groups = {0};
	Groups	   *groups = (*root == '\0') ? &own_groups : &other_groups;
	char	   *events = read_file(root, "/proc/vmstat", MOST_STATUS);

	read_machine(root, events, host);
	if (find_groups(root, groups))
		find_limits(groups, host);
	host->cpus = Min(host->cpus, groups->cpus);
	if (groups->limits_memory)
		walk_group(&groups->memory, limit_memory, host);
	host->pressure_cpu = read_pressure(root, &groups->unified, "cpu");
	host->pressure_io = read_pressure(root, &groups->unified, "io");
	host->pressure_memory = read_pressure(root, &groups->unified, "memory");
	host->memory_kills = count_kills(&groups->memory, events);
}

/* How many processes the kernel has killed for want of memory; NaN: it does not tell. */
double
dbops_host_kills(void)
{
	Groups		groups = {0};

	(void) find_groups("", &groups);
	return count_kills(&groups.memory, read_file("", "/proc/vmstat", MOST_STATUS));
}

/* What the machine has, before any limit. */
static void
read_machine(const char *root, const char *events, Host *host)
{
	char	   *load = read_file(root, "/proc/loadavg", MOST_STATUS);
	char	   *memory = read_file(root, "/proc/meminfo", MOST_STATUS);

	host->cpus = count_cpus(root);
	host->load = (load == NULL) ? NAN : strtod(load, NULL);
	host->memory_machine = number_after(memory, "MemTotal:") * 1024;
	host->memory_total = host->memory_machine;
	host->memory_available = number_after(memory, "MemAvailable:") * 1024;
	host->memory_swapped_in = number_after(events, "\npswpin ") * sysconf(_SC_PAGESIZE);
}

/* Those that the process may run on. */
static double
count_cpus(const char *root)
{
	char	   *online;

#ifdef CPU_COUNT
	cpu_set_t	allowed;

	if (*root == '\0' && sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		return CPU_COUNT(&allowed);
#endif
	online = read_file(root, "/sys/devices/system/cpu/online", MOST_STATUS);
	return (online == NULL) ? sysconf(_SC_NPROCESSORS_ONLN) : count_listed(online);
}

/* Count the numbers of a list such as 0-3,8. */
static double
count_listed(const char *list)
{
	int			n = 0;

	while (*list >= '0' && *list <= '9')
	{
		char	   *end;
		long		first = strtol(list, &end, 10);
		long		last = (*end == '-') ? strtol(end + 1, &end, 10) : first;

		n += last - first + 1;
		list = (*end == ',') ? end + 1 : end;
	}
	return n;
}

/* ---- control groups ---- */

/* Find the groups of this process, and now and then anew; false: they stay. */
static bool
find_groups(const char *root, Groups *groups)
{
	TimestampTz now = GetCurrentTimestamp();
	char	   *cgroups;
	char	   *mounts;

	if (groups->found_at != 0 && groups->found_at <= now && groups->found_at > now - LOOK_AGAIN)
		return false;
	*groups = (Groups) {.found_at = now};
	cgroups = read_file(root, "/proc/self/cgroup", MOST_STATUS);
	mounts = read_file(root, "/proc/self/mountinfo", MOST_MOUNTS);
	if (cgroups == NULL || mounts == NULL)
		return true;
	find_group(root, cgroups, mounts, "", &groups->unified);
	find_group(root, cgroups, mounts, "cpu", &groups->cpu);
	if (!groups->cpu.found)
		groups->cpu = groups->unified;
	find_group(root, cgroups, mounts, "memory", &groups->memory);
	if (!groups->memory.found)
		groups->memory = groups->unified;
	return true;
}

/* Find what they limit, so that not all of their files have to be read each time. */
static void
find_limits(Groups *groups, const Host *machine)
{
	Host		limited = *machine;

	limited.cpus = INFINITY;
	limited.memory_total = INFINITY;
	walk_group(&groups->cpu, limit_cpus, &limited);
	walk_group(&groups->memory, limit_memory, &limited);
	groups->cpus = limited.cpus;
	groups->limits_memory = !isinf(limited.memory_total);
}

/* Find the group that a controller of version 1 works by; that of version 2 has no name. */
static void
find_group(const char *root, const char *cgroups, const char *mounts, const char *controller, ControlGroup *group)
{
	group->unified = (*controller == '\0');
	group->found = find_path(cgroups, controller, group) && find_mount(root, mounts, controller, group);
}

/* Lines are number:controllers:path. */
static bool
find_path(const char *cgroups, const char *controller, ControlGroup *group)
{
	for (const char *line = cgroups; line != NULL && *line != '\0'; line = strchr(line, '\n'))
	{
		const char *words;
		const char *path;

		line += (*line == '\n') ? 1 : 0;
		words = strchr(line, ':');
		path = (words == NULL) ? NULL : strchr(words + 1, ':');
		if (path == NULL || !has_word(words + 1, controller, path - words - 1))
			continue;
		snprintf(group->path, MAXPGPATH, "%.*s", (int) strcspn(path + 1, "\n"), path + 1);
		return true;
	}
	return false;
}

/* The fourth word of a line is which part of the hierarchy is mounted, the fifth is where. */
static bool
find_mount(const char *root, const char *mounts, const char *controller, ControlGroup *group)
{
	char	   *copy = pstrdup(mounts);
	char	   *state;

	for (char *line = strtok_r(copy, "\n", &state); line != NULL; line = strtok_r(NULL, "\n", &state))
	{
		char		part[MAXPGPATH];
		char		place[MAXPGPATH];
		size_t		length;

		if (!is_mount_of(line, controller, group->unified) ||
			sscanf(line, "%*s %*s %*s %1023s %1023s", part, place) != 2)
			continue;
		snprintf(group->mount, MAXPGPATH, "%s%s", root, place);
		length = strlen(part);
		if (length > 1 && strncmp(group->path, part, length) == 0 &&
			(group->path[length] == '/' || group->path[length] == '\0'))
			memmove(group->path, group->path + length, strlen(group->path + length) + 1);
		if (strcmp(group->path, "/") == 0 || strstr(group->path, "..") != NULL)
			group->path[0] = '\0';
		return true;
	}
	return false;
}

/* What follows " - " is the type of the file system, its source and its options. */
static bool
is_mount_of(const char *line, const char *controller, bool unified)
{
	const char *type = strstr(line, " - ");
	const char *options = strrchr(line, ' ');

	if (type == NULL || options == NULL)
		return false;
	if (unified)
		return strncmp(type, " - cgroup2 ", 11) == 0;
	return strncmp(type, " - cgroup ", 10) == 0 && has_word(options + 1, controller, strlen(options + 1));
}

/* Whether a list with commas has a word; the empty list has the empty one. */
static bool
has_word(const char *words, const char *word, int length)
{
	const char *end = words + length;
	size_t		wanted = strlen(word);

	if (wanted == 0)
		return length == 0;
	while (words < end)
	{
		size_t		here = Min(strcspn(words, ","), end - words);

		if (here == wanted && strncmp(words, word, here) == 0)
			return true;
		words += here + 1;
	}
	return false;
}

/* Look at the group and at every one above it; a directory that is not there limits nothing. */
static void
walk_group(const ControlGroup *group, GroupLook look, Host *host)
{
	char		directory[MAXPGPATH * 2];
	size_t		mount = strlen(group->mount);

	if (!group->found)
		return;
	snprintf(directory, sizeof(directory), "%s%s", group->mount, group->path);
	for (;;)
	{
		char	   *slash = strrchr(directory, '/');

		look(directory, group->unified, host);
		if (strlen(directory) <= mount || slash == NULL)
			return;
		*slash = '\0';
	}
}

/* A quota is so many microseconds of CPU in a period. */
static void
limit_cpus(const char *directory, bool unified, Host *host)
{
	char	   *both = unified ? read_file(directory, "/cpu.max", MOST_STATUS) : NULL;
	double		quota = NAN;
	double		period = NAN;

	if (both != NULL && sscanf(both, "%lf %lf", &quota, &period) != 2)
		return;
	if (!unified)
	{
		quota = number_in(directory, "/cpu.cfs_quota_us");
		period = number_in(directory, "/cpu.cfs_period_us");
	}
	if (quota > 0 && period > 0)
		host->cpus = Min(host->cpus, quota / period);
}

/* A limit that is more than the machine has, as far as that is known, is none; version 1 writes one where there is none. */
static void
limit_memory(const char *directory, bool unified, Host *host)
{
	double		limit = number_in(directory, unified ? "/memory.max" : "/memory.limit_in_bytes");
	double		used;
	char	   *figures;
	double		left;

	if (isnan(limit) || limit > host->memory_machine || limit >= NO_LIMIT)
		return;
	if (isnan(host->memory_total) || limit < host->memory_total)
		host->memory_total = limit;
	used = number_in(directory, unified ? "/memory.current" : "/memory.usage_in_bytes");
	if (isnan(used))
		return;
	figures = read_file(directory, "/memory.stat", MOST_STATUS);
	left = limit - used;
	for (int i = 0; i < 2; i++)
	{
		static const char *const cached[2][2] = {
			{"\ntotal_inactive_file", "\ntotal_active_file"}, {"\ninactive_file", "\nactive_file"}
		};
		double		bytes = number_after(figures, cached[unified ? 1 : 0][i]);

		left += isnan(bytes) ? 0 : bytes;
	}
	if (isnan(host->memory_available) || left < host->memory_available)
		host->memory_available = Max(0, left);
}

/* Those of the group; where it has no count, as the root has none, those of the machine. */
static double
count_kills(const ControlGroup *group, const char *events)
{
	double		kills = NAN;

	if (group->found)
		kills = number_after(read_file(psprintf("%s%s", group->mount, group->path),
									   group->unified ? "/memory.events" : "/memory.oom_control", MOST_STATUS),
							 "\noom_kill ");
	return isnan(kills) ? number_after(events, "\noom_kill ") : kills;
}

/* ---- pressure: how much of the time something waited ---- */

/* That of the group, or else of the machine. */
static double
read_pressure(const char *root, const ControlGroup *group, const char *what)
{
	double		pressure = NAN;

	if (group->found)
		pressure = some_of_a_minute(read_file(psprintf("%s%s", group->mount, group->path),
											  psprintf("/%s.pressure", what), MOST_STATUS));
	if (isnan(pressure))
		pressure = some_of_a_minute(read_file(root, psprintf("/proc/pressure/%s", what), MOST_STATUS));
	return pressure;
}

/* The line that begins with some is of the time in which at least one waited. */
static double
some_of_a_minute(const char *text)
{
	if (text == NULL || strncmp(text, "some ", 5) != 0)
		return NAN;
	return number_after(text, "avg60=");
}

/* ---- files ---- */

/* NULL: it is not there, or cannot be read. Most are short, so only what was read is kept. */
static char *
read_file(const char *directory, const char *name, size_t most)
{
	char		path[MAXPGPATH * 2];
	char	   *buffer;
	char	   *text;
	int			file;
	ssize_t		n;
	size_t		length = 0;

	snprintf(path, sizeof(path), "%s%s", directory, name);
	file = OpenTransientFile(path, O_RDONLY);
	if (file < 0)
		return NULL;
	buffer = palloc(most);
	while (length < most && (n = read(file, buffer + length, most - length)) > 0)
		length += n;
	CloseTransientFile(file);
	text = (length == 0) ? NULL : pnstrdup(buffer, length);
	pfree(buffer);
	return text;
}

/* NaN: there is no such file, or it says that there is no limit. */
static double
number_in(const char *directory, const char *name)
{
	char	   *text = read_file(directory, name, MOST_STATUS);
	char	   *end;
	double		number;

	if (text == NULL)
		return NAN;
	number = strtod(text, &end);
	return (end == text) ? NAN : number;
}

/* The number that stands behind a key; NaN: there is no such key. */
static double
number_after(const char *text, const char *key)
{
	const char *found = (text == NULL) ? NULL : strstr(text, key);

	return (found == NULL) ? NAN : strtod(found + strlen(key), NULL);
}
