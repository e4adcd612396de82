#!/bin/sh
# Judges a change in any CI, or on your own machine: sh check.sh [options of promptreg check]
#
#   PROMPTREG_EVENT          push, schedule, manual or pull_request: what started this job. Set it in the CI's own settings.
#   PROMPTREG_TARGET_BRANCH  the branch that a pull request targets
#   PROMPTREG_RUNS           off, read (default), write or push: what is done with the runs branch
#   PROMPTREG_REPORTS        the folder for the reports, by default promptreg-reports
#
# The exit code is promptreg's: 0 fine, 1 worse, 2 to be mended, 4 no verdict.
set -eu

reports="${PROMPTREG_REPORTS:-promptreg-reports}"
mkdir -p "$reports"

fetch=
if git remote get-url origin >/dev/null 2>&1; then fetch=--fetch; fi

code=0
# shellcheck disable=SC2086
promptreg check $fetch --runs "${PROMPTREG_RUNS:-read}" --report "$reports/comment.md" --report "$reports/check.json" \
  --report "$reports/promptreg.xml" "$@" || code=$?

case "$code" in
  0) echo "promptreg: fine" ;;
  1) echo "promptreg: worse than before; $reports/comment.md says where" ;;
  2) echo "promptreg: something must be mended first, see above" ;;
  4) echo "promptreg: no verdict could be reached; $reports/comment.md says why" ;;
  *) echo "promptreg: exit code $code" ;;
esac
exit "$code"
