# The version stands in dbops.control and nowhere else. The install script is
# put together from src/<area>/<area>.sql, core first, and is not committed.

EXTENSION  = dbops
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" dbops.control)
AREAS      = core $(filter-out core,$(patsubst src/%/,%,$(sort $(dir $(wildcard src/*/*.h)))))

MODULE_big  = dbops
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
PG_CPPFLAGS = -I$(srcdir)/src -DDBOPS_VERSION='"$(EXTVERSION)"'

SCRIPT      = dbops--$(EXTVERSION).sql
FRAGMENTS   = $(foreach area,$(AREAS),src/$(area)/$(area).sql) src/core/access.sql
DATA        = $(wildcard src/upgrade/dbops--*--*.sql)
DATA_built  = $(SCRIPT)
EXTRA_CLEAN = dbops--*.sql

REGRESS        = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS   = --load-extension=dbops --temp-instance=tmp_check --temp-config=test/dbops.conf
ISOLATION      = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --load-extension=dbops --temp-instance=tmp_check_iso --temp-config=test/dbops.conf
TAP_TESTS      = 1
PROVE_TESTS    = $(sort $(wildcard test/t/*.pl))

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Packaged servers do not track header dependencies.
$(OBJS): $(wildcard src/*.h src/*/*.h) dbops.control

$(SCRIPT): $(FRAGMENTS) dbops.control
	cat $(FRAGMENTS) > $@
