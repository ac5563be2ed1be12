// A handler for Hitchy: a route for HTTP, and an event for socket.io clients.
//
// `hitchy dev` builds it, serves it, and replaces it on every save. `sh test.sh` runs its tests. bindings/handler.h has
// all functions and types; what they mean is in the comments of the contract: `hitchy bindings wit contract`.
#include "handler.h"

#include "greeting.h"

static handler_string_t text(const char *characters) {
    handler_string_t string;
    handler_string_set(&string, characters);
    return string;
}

// What this handler offers. The server calls it once, when it loads the file.
void exports_hitchy_platform_setup_describe(exports_hitchy_platform_setup_own_registrar_t to) {
    hitchy_platform_registration_borrow_registrar_t registrar = hitchy_platform_registration_borrow_registrar(to);
    handler_string_t get = text("GET"), path = text("/api/hello/{name}");
    handler_string_t root = text("/"), event = text("chat:say");
    hitchy_platform_registration_method_registrar_route(registrar, &get, &path);
    hitchy_platform_registration_method_registrar_listener(registrar, &root, &event);
    hitchy_platform_registration_registrar_drop_own(to);
}

// `GET /api/hello/Ada` answers `{"hello":"Ada"}`. With several routes, `route` is the number of the one that was asked.
bool exports_hitchy_platform_http_on_request(uint32_t route, exports_hitchy_platform_http_own_request_t request,
                                             exports_hitchy_platform_http_response_t *response,
                                             exports_hitchy_platform_http_failure_t *failure) {
    handler_string_t key = text("name"), name = {0};
    hitchy_platform_requests_method_request_param(hitchy_platform_requests_borrow_request(request), &key, &name);
    hitchy_platform_requests_request_drop_own(request);
    char *json = greeting((const char *)name.ptr, name.len);
    handler_string_free(&name);

    // What is returned is freed by the bindings, so it is copied.
    response->status = 200;
    response->headers.ptr = malloc(sizeof *response->headers.ptr);
    response->headers.len = 1;
    handler_string_dup(&response->headers.ptr[0].f0, "content-type");
    handler_string_dup(&response->headers.ptr[0].f1, "application/json; charset=utf-8");
    response->body.ptr = (uint8_t *)json;
    response->body.len = strlen(json);
    return true;
}

// `socket.emit("chat:say", { from: "Ada", text: "hi" }, (answer) => …)`. What is returned is the answer, the ack.
bool exports_hitchy_platform_events_on_event(uint32_t listener, exports_hitchy_platform_events_own_socket_t socket,
                                             handler_string_t *event, exports_hitchy_platform_events_payload_t *args,
                                             bool ack_wanted, exports_hitchy_platform_events_option_payload_t *ack,
                                             exports_hitchy_platform_events_failure_t *failure) {
    hitchy_platform_sockets_socket_drop_own(socket);
    handler_string_free(event);
    // Every connected client gets an event `chat:said` with the same arguments, which are JSON.
    handler_string_t said = text("chat:said");
    bool is_sent = hitchy_platform_sockets_emit(&said, args, failure);
    exports_hitchy_platform_events_payload_free(args);
    if (!is_sent) {
        return false;
    }
    ack->is_some = true;
    handler_string_dup(&ack->val.json, "[\"told everyone\"]");
    ack->val.attachments.ptr = NULL;
    ack->val.attachments.len = 0;
    return true;
}
