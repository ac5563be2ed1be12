// What the handler answers, apart from the server, so that test.c can test it.
#ifndef GREETING_H
#define GREETING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Returns the JSON object {"hello": name}, which the caller frees. The name need not end with 0.
static inline char *greeting(const char *name, size_t length) {
    // In the worst case each byte becomes an escape of six.
    char *json = malloc(sizeof "{\"hello\":\"\"}" + 6 * length);
    char *end = json + sprintf(json, "{\"hello\":\"");
    for (size_t at = 0; at < length; at++) {
        unsigned char byte = (unsigned char)name[at];
        if (byte == '"' || byte == '\\') {
            end += sprintf(end, "\\%c", byte);
        } else if (byte < 0x20) {
            end += sprintf(end, "\\u%04x", byte);
        } else {
            *end++ = (char)byte;
        }
    }
    strcpy(end, "\"}");
    return json;
}

#endif
