#ifndef DBOPS_OBSERVE_H
#define DBOPS_OBSERVE_H
#include "core/core.h"
#endif
