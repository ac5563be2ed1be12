// Tests of what the handler answers, without a server: `sh test.sh`.
#include "greeting.h"

static void says(const char *name, const char *json) {
    char *answer = greeting(name, strlen(name));
    if (strcmp(answer, json) != 0) {
        fprintf(stderr, "%s is greeted with %s instead of %s\n", name, answer, json);
        exit(1);
    }
    free(answer);
}

int main(void) {
    says("Ada", "{\"hello\":\"Ada\"}");
    says("a\"b\\c\n", "{\"hello\":\"a\\\"b\\\\c\\u000a\"}");
    puts("2 passed");
}
