-- lint_sql(): the names that other linters have for rules mean the same wherever a
-- rule is named; rules are turned on and off, and findings muted for a time and a reason.
SET client_min_messages = warning;
CREATE SCHEMA lnn;
SET search_path = lnn, public;
CREATE TABLE there (a int, b int, c int, d int, e int, f int, g int);
INSERT INTO there VALUES (1, 1, 1, 1);
RESET client_min_messages;
SET lock_timeout = '1s';
CREATE FUNCTION pg_temp.found(sql text) RETURNS TABLE (line int, rule text, muted boolean) LANGUAGE sql
    AS $$ SELECT line, rule, muted_until IS NOT NULL FROM dbops.lint_sql(sql, false) WHERE rule NOT IN ('transaction.no_lock_timeout', 'table.altered_again') $$;

-- in comments
SELECT * FROM pg_temp.found($$-- squawk-ignore ban-drop-column
ALTER TABLE there DROP COLUMN a;
-- squawk-ignore BAN-DROP-COLUMN, adding-not-nullable-field
ALTER TABLE there ALTER b SET NOT NULL;
-- dbops: ignore E2
ALTER TABLE there ALTER c SET NOT NULL;
-- eugene: ignore E3
ALTER TABLE there ALTER d SET NOT NULL;
-- pgt-ignore lint/safety/addingNotNullField: known
ALTER TABLE there ALTER e SET NOT NULL;
-- pgls-ignore lint/safety: known
ALTER TABLE there ALTER f SET NOT NULL;
-- pgls-ignore typecheck: known
ALTER TABLE there ALTER g SET NOT NULL;$$);

-- what is a matter of taste is off until somebody asks for it
SELECT * FROM pg_temp.found('CREATE INDEX CONCURRENTLY wide ON there (a, b, c, d)');
SELECT dbops.set_check('index.wide', enabled => true);
SELECT * FROM pg_temp.found('CREATE INDEX CONCURRENTLY wide ON there (a, b, c, d)');
SELECT dbops.reset_check('index.wide'), dbops.reset_check('index.wide') AS again;
-- and what is not, on until somebody turns it off
SELECT dbops.set_check('constraint-missing-not-valid', enabled => false);
SELECT check_name, enabled FROM dbops.check_setting ORDER BY check_name COLLATE "C";
SELECT * FROM pg_temp.found('ALTER TABLE there ADD CHECK (a > 0); ALTER TABLE there ALTER a SET NOT NULL');
SELECT dbops.reset_check('Constraint-Missing-Not-Valid');
SELECT * FROM pg_temp.found('ALTER TABLE there ADD CHECK (a > 0)');
SELECT dbops.set_check('constraint-missing-not-valid', warning => 1);
SELECT dbops.set_check('constraint-missing-valid', enabled => false);
SELECT dbops.set_check('nothing.like.it', enabled => false);

-- all names of squawk's, but unused-ignore, and of postgres-language-server's
CREATE TEMP TABLE theirs AS SELECT regexp_split_to_table('adding-field-with-default adding-foreign-key-constraint adding-not-nullable-field adding-required-field
adding-serial-primary-key-field ban-alter-domain-with-add-constraint ban-char-field ban-concurrent-index-creation-in-transaction ban-create-domain-with-constraint
ban-drop-column ban-drop-database ban-drop-not-null ban-drop-table ban-duplicate-column-assignments ban-truncate-cascade ban-uncommitted-transaction changing-column-type
constraint-missing-not-valid disallowed-unique-constraint identifier-too-long prefer-bigint-over-int prefer-bigint-over-smallint prefer-identity prefer-repack
prefer-robust-stmts prefer-text-field prefer-timestamp-tz prefer-timestamptz renaming-column renaming-table require-concurrent-index-creation require-concurrent-index-deletion
require-concurrent-partition-detach require-concurrent-reindex require-enum-value-ordering require-lock-timeout require-statement-timeout require-table-schema
require-timeout-settings transaction-nesting
addSerialColumn addingFieldWithDefault addingForeignKeyConstraint addingNotNullField addingPrimaryKeyConstraint addingRequiredField avoidAddingExclusionConstraint
avoidAlterEnumAddValue avoidAttachingPartition avoidCreateTrigger avoidEnableDisableTrigger avoidWideLockWindow banAlterEnumAddValue banCharField
banConcurrentIndexCreationInTransaction banDeleteWithoutWhere banDropColumn banDropDatabase banDropNotNull banDropSchema banDropTable banDropTrigger
banNotValidValidateSameTransaction banTruncate banTruncateCascade banUpdateWithoutWhere banVacuumFull changingColumnType concurrentRefreshMatviewLock
constraintMissingNotValid creatingEnum disallowUniqueConstraint lockTimeoutWarning multipleAlterTable preferBigInt preferBigintOverInt preferBigintOverSmallint
preferIdentity preferJsonb preferRobustStmts preferTextField preferTimestamptz renamingColumn renamingTable requireConcurrentDetachPartition
requireConcurrentIndexCreation requireConcurrentIndexDeletion requireConcurrentRefreshMatview requireConcurrentReindex requireIdleInTransactionTimeout
requireSeparateConstraintValidation requireStatementTimeout runningStatementWhileHoldingAccessExclusive transactionNesting', '\s+') AS name;
BEGIN;
SELECT count(*), count(dbops.mute_finding(name, 'known', now() + interval '1 day')) AS taken FROM theirs;
SELECT count(*) > 40 AS rules FROM dbops.muted_findings();
ROLLBACK;

-- muted: one finding, and all of a name
SELECT dbops.mute_finding('e2:lnn.there.a', 'known', now() + interval '1 day');
SELECT key FROM dbops.muted_findings();
SELECT * FROM pg_temp.found('ALTER TABLE there ALTER a SET NOT NULL; ALTER TABLE there ALTER b SET NOT NULL');
SELECT dbops.unmute_finding('E2:lnn.there.a'), dbops.unmute_finding('E2:lnn.there.a') AS again;
SELECT dbops.mute_finding('adding-field-with-default', 'known', now() + interval '1 day');
SELECT key FROM dbops.muted_findings();
SELECT * FROM pg_temp.found('ALTER TABLE there ADD e float DEFAULT random(); ALTER TABLE there ADD f int GENERATED ALWAYS AS (a) STORED');
SELECT dbops.unmute_finding('adding-field-with-default');
-- not without an end, or a reason
SELECT dbops.mute_finding('E2:lnn.there.a', 'known', NULL);
SELECT dbops.mute_finding('column.set_not_null:lnn.there.a', 'known', 'infinity');
SELECT dbops.mute_finding('column.set_not_null:lnn.there.a', NULL, now() + interval '1 day');
SELECT dbops.mute_finding('E2', ' ', now() + interval '1 day');
SELECT dbops.mute_finding('E99', 'known', now() + interval '1 day');
SELECT dbops.mute_finding('E2:', 'known', now() + interval '1 day');
SELECT count(*) FROM dbops.muted_findings();

SET client_min_messages = warning;
DROP SCHEMA lnn CASCADE;
