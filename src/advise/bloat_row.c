/*
 * bloat_row.c
 *		What the arguments and rows of the reports on bloat have in common.
 */
#include "advise/bloat_list.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

/* The second argument, sample_blocks. */
int
dbops_bloat_sample_argument(FunctionCallInfo fcinfo, const char *hint)
{
	int			blocks;

	dbops_require_argument(fcinfo, 1, "sample_blocks");
	blocks = PG_GETARG_INT32(1);
	if (blocks < 1 || blocks > MAX_SAMPLE_BLOCKS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sample_blocks must be between 1 and %d", MAX_SAMPLE_BLOCKS),
				 errhint("%s", hint)));
	return blocks;
}

/* A figure with two decimals, unless it is null already or not known. */
Datum
dbops_bloat_figure(double number, bool *isnull)
{
	*isnull = *isnull || isnan(number);
	if (*isnull)
		return (Datum) 0;
	return NumericGetDatum(int64_div_fast_to_numeric((int64) rint(number * 100), 2));
}
