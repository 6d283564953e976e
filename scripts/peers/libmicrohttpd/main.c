/* libmicrohttpd as a peer of ringserve.
 *
 * Tuned as its manual says for many connections: a pool of threads, each with an epoll set of its own,
 * "turbo" (it reads and writes before it asks whether it may), a small memory pool for each connection,
 * no timeouts; the answer to / is one response object, made once and queued for each request. JSON is
 * read and written by jansson. Fair because it has the same status, body, Content-Type and Date as the
 * others. */

#include <arpa/inet.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 16384, CONNECTIONS_PER_THREAD = 25000, POOL_BYTES = 4096, BODY_BYTES_MAX = 4096 };

static const char HELLO[] = "Hello, World!";

struct order {
    int id, customer_id, total_cents;
    char status[16], created_at[32];
};

static struct order *orders;
static size_t order_count;
static struct MHD_Response *hello, *not_found, *bad_request;

/* A request whose body comes: from its head to its answer. */
struct upload {
    size_t length;
    char bytes[BODY_BYTES_MAX];
};

/* Stands for a request of which no body is kept. */
static struct upload without_body;

static void die(const char *what) {
    fprintf(stderr, "peer-libmicrohttpd: %s\n", what);
    exit(EXIT_FAILURE);
}

static struct MHD_Response *constant(const char *text) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    if (!response || MHD_add_response_header(response, "Content-Type", "text/plain") != MHD_YES)
        die("out of memory");
    return response;
}

/* Takes over both the reference to the value and the text that is made of it. */
static enum MHD_Result answer_json(struct MHD_Connection *connection, json_t *value) {
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (!text) return MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", "application/json");
    if (result == MHD_YES) result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_orders(struct MHD_Connection *connection) {
    json_t *rows = json_array();
    for (size_t i = 0; i < order_count; i++) {
        const struct order *order = &orders[i];
        json_array_append_new(
            rows, json_pack("{s:i, s:i, s:i, s:s, s:s}", "id", order->id, "customer_id",
                            order->customer_id, "total_cents", order->total_cents, "status",
                            order->status, "created_at", order->created_at));
    }
    return answer_json(connection, rows);
}

static enum MHD_Result answer_ping(struct MHD_Connection *connection, const struct upload *upload) {
    json_int_t sequence;
    json_t *body = json_loadb(upload->bytes, upload->length, 0, NULL);
    bool good = body && json_unpack(body, "{s:I}", "sequence", &sequence) == 0;
    json_decref(body);
    if (!good) return MHD_queue_response(connection, MHD_HTTP_BAD_REQUEST, bad_request);
    return answer_json(connection, json_pack("{s:I}", "sequence", sequence));
}

/* Called once for a request's head, for each piece of its body, and in the end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *piece,
                              size_t *piece_length, void **request) {
    (void)context, (void)version;
    bool is_ping = strcmp(url, "/ping") == 0 && strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    if (!*request) {
        *request = is_ping ? calloc(1, sizeof(struct upload)) : &without_body;
        return *request ? MHD_YES : MHD_NO;
    }
    if (*piece_length > 0) {
        struct upload *upload = *request;
        if (is_ping && upload->length + *piece_length > BODY_BYTES_MAX) return MHD_NO;
        if (is_ping) {
            memcpy(upload->bytes + upload->length, piece, *piece_length);
            upload->length += *piece_length;
        }
        *piece_length = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/") == 0) return MHD_queue_response(connection, MHD_HTTP_OK, hello);
    if (strcmp(url, "/orders") == 0) return answer_orders(connection);
    if (!is_ping) return MHD_queue_response(connection, MHD_HTTP_NOT_FOUND, not_found);
    return answer_ping(connection, *request);
}

static void completed(void *context, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why) {
    (void)context, (void)connection, (void)why;
    if (*request != &without_body) free(*request);
    *request = NULL;
}

static void read_orders(const char *path) {
    json_error_t error;
    json_t *rows = json_load_file(path, 0, &error);
    if (!json_is_array(rows)) die("--orders: no such file, or no array of rows in it");
    order_count = json_array_size(rows);
    orders = calloc(order_count, sizeof *orders);
    if (!orders) die("out of memory");
    for (size_t i = 0; i < order_count; i++) {
        const char *status, *created_at;
        if (json_unpack(json_array_get(rows, i), "{s:i, s:i, s:i, s:s, s:s}", "id", &orders[i].id,
                        "customer_id", &orders[i].customer_id, "total_cents",
                        &orders[i].total_cents, "status", &status, "created_at", &created_at))
            die("--orders: a row is not one of an order");
        snprintf(orders[i].status, sizeof orders[i].status, "%s", status);
        snprintf(orders[i].created_at, sizeof orders[i].created_at, "%s", created_at);
    }
    json_decref(rows);
}

static struct sockaddr_in address_of(char *listen) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *colon = strrchr(listen, ':');
    if (!colon) die("--listen takes ADDRESS:PORT");
    *colon = '\0';
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, listen, &address.sin_addr) != 1) die("--listen takes ADDRESS:PORT");
    return address;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {0};
    const char *orders_path = NULL;
    unsigned threads = 1;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("libmicrohttpd %s\n", MHD_get_version());
        return EXIT_SUCCESS;
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--listen") == 0) address = address_of(argv[i + 1]);
        if (strcmp(argv[i], "--threads") == 0) threads = (unsigned)atoi(argv[i + 1]);
        if (strcmp(argv[i], "--orders") == 0) orders_path = argv[i + 1];
    }
    if (!address.sin_port || !orders_path || threads < 1)
        die("usage: --listen ADDRESS:PORT --threads N --orders FILE | --version");
    read_orders(orders_path);
    hello = constant(HELLO);
    not_found = constant("not found");
    bad_request = constant("bad request");

    /* A pool of one would be a second thread for nothing. */
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle,
        NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS_PER_THREAD * threads, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_NOTIFY_COMPLETED, completed,
        NULL, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!daemon) die("cannot listen there");
    for (;;) pause();
}
