# Builds the tests for this machine, and runs them.
set -e
cc=${CC:-$(command -v cc || command -v clang-19 || command -v gcc || echo cc)}
"$cc" -Wall -Wextra -o test test.c
./test
