/* A load of HTTP/1.1 requests, or of messages on WebSockets, to 127.0.0.1, each answer to which is
   compared to the byte.

       load PORT CONNECTIONS IDLE REQUEST BODY [KIND SIZE]

   IDLE connections are opened, make one request each, and are left alone; then it prints
   "ready". For each line of its input, a number of seconds, CONNECTIONS more make one request
   after another for so long, and it prints how many answers came, in what time, and the
   processor time that it needed itself. Where REQUEST says "Connection: close" each is made on
   a connection of its own, which the server closes.

   NUMBER in REQUEST and BODY stands for six digits that are others in each request.

   With a KIND each connection becomes a WebSocket by REQUEST, and is kept from one line of input
   to the next. What is sent on it is a message of SIZE bytes, which are BODY over and over; the
   answer is the same message, in one frame. KIND is "text", "binary", or "fanout": then only the
   first WebSocket sends texts, all of them get each, and the next is sent when they have it; each
   that one of them gets is an answer.

   There are two KINDs more that need no WebSocket. With "long" the answer is SIZE bytes, BODY over
   and over, and may come in chunks. With "upload" so many bytes of that are sent behind REQUEST,
   and the answer is BODY.

   It ends with status 1 at the first answer that is not 200 with exactly BODY, or not that message,
   at the first connection that is closed too early, and when it is not done a minute after it
   should be. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NUMBER "NUMBER" /* as long as what it stands for */
#define DIGITS 6

/* The answer to the Sec-WebSocket-Key of REQUEST, which is that of RFC 6455. */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define KEY "\x37\xfa\x21\x3d"
#define KEY_SIZE 4
#define MOST_OF_HEAD 10

#define LENGTH "content-length:"
#define CHUNKED "transfer-encoding: chunked"

/* What of a long answer comes next. */
enum part { STATUS, FIELDS, DATA, CHUNK, CHUNK_END, LAST_LINE, END };

struct connection {
    int socket;
    size_t have;
    enum part part;
    int chunked;
    size_t left, line; /* of a long answer: what is to come of the data; what came of a line */
    char number[DIGITS + 1];
    char answer[8192];
};

static int port, events, closes, is_long, fans_out, connections, unheard;
static long answers;
static char *handshake, *request, *body, *request_number, *body_number;
static char number_mask[DIGITS];
static size_t request_size, body_size;
static char piece[1 << 18];
static struct connection *all;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s%s%.300s\n", what, *detail ? ": " : "", detail);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void send_all(struct connection *c, const char *data, size_t size) {
    if (send(c->socket, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("cannot send", strerror(errno));
}

static void ask(struct connection *c) {
    static unsigned asked;
    snprintf(c->number, sizeof c->number, "%06u", asked++ % 1000000);
    if (request_number)
        for (int i = 0; i < DIGITS; i++) request_number[i] = c->number[i] ^ number_mask[i];
    c->have = 0;
    c->part = STATUS;
    send_all(c, request, request_size);
}

static ssize_t receive(struct connection *c, char *data, size_t room) {
    ssize_t got = recv(c->socket, data, room, 0);
    if (got < 0) fail("cannot receive", strerror(errno));
    return got;
}

/* Whether the server has closed the connection. */
static int take_http(struct connection *c) {
    size_t room = sizeof c->answer - 1 - c->have;
    if (!room) fail("an answer is too long", "");
    ssize_t got = receive(c, c->answer + c->have, room);
    c->have += got;
    c->answer[c->have] = 0;
    return !got;
}

static void shake_hands(struct connection *c) {
    char *end = NULL;
    c->have = 0;
    for (send_all(c, handshake, strlen(handshake)); !end; end = strstr(c->answer, "\r\n\r\n"))
        if (take_http(c)) fail("the server closed a connection", "");
    if (strncmp(c->answer, "HTTP/1.1 101", 12)) fail("wrong status", c->answer);
    if (!strstr(c->answer, ACCEPT)) fail("wrong handshake", c->answer);
    if (end[4] || c->answer + c->have != end + 4) fail("a message that nobody sent", "");
    c->have = 0;
}

/* The same of a WebSocket, whose answers are compared as they come. */
static int take_message(struct connection *c) {
    ssize_t got = receive(c, piece, sizeof piece);
    if (body_number) memcpy(body_number, (fans_out ? all : c)->number, DIGITS);
    if ((size_t)got > body_size - c->have || memcmp(body + c->have, piece, got))
        fail("wrong message", "");
    c->have += got;
    return !got;
}

static void on_field(struct connection *c, const char *line) {
    if (!strncasecmp(line, LENGTH, strlen(LENGTH))) c->left = strtoul(line + strlen(LENGTH), 0, 10);
    if (!strncasecmp(line, CHUNKED, strlen(CHUNKED))) c->chunked = 1;
    if (*line == '\r') c->part = c->chunked ? CHUNK : c->left ? DATA : END;
}

static void on_line(struct connection *c, const char *line) {
    if (c->part == STATUS) {
        if (strncmp(line, "HTTP/1.1 200", 12)) fail("wrong status", line);
        c->left = c->chunked = 0;
        c->part = FIELDS;
    } else if (c->part == FIELDS) {
        on_field(c, line);
    } else if (c->part == CHUNK) {
        c->left = strtoul(line, 0, 16);
        c->part = c->left ? DATA : LAST_LINE;
    } else {
        if (*line != '\r') fail("wrong end of a chunk", line);
        c->part = c->part == LAST_LINE ? END : CHUNK;
    }
}

/* These two give how many of the bytes they have taken. */
static size_t take_line(struct connection *c, const char *data, size_t size) {
    if (c->part == END) fail("more than an answer", "");
    const char *end = memchr(data, '\n', size);
    if (end) size = end + 1 - data;
    if (size >= sizeof c->answer - c->line) fail("an answer is too long", "");
    memcpy(c->answer + c->line, data, size);
    c->line += size;
    if (end) {
        c->answer[c->line] = 0;
        c->line = 0;
        on_line(c, c->answer);
    }
    return size;
}

static size_t take_data(struct connection *c, const char *data, size_t size) {
    if (size > c->left) size = c->left;
    if (size > body_size - c->have || memcmp(body + c->have, data, size)) fail("wrong body", "");
    c->have += size;
    c->left -= size;
    if (!c->left) c->part = c->chunked ? CHUNK_END : END;
    return size;
}

/* The same of a long answer, which is compared as it comes, too. */
static int take_long(struct connection *c) {
    size_t got = receive(c, piece, sizeof piece);
    for (size_t at = 0; at < got;)
        at += (c->part == DATA ? take_data : take_line)(c, piece + at, got - at);
    return !got;
}

/* Calls block, which on loopback is no wait: a server with room in its backlog is connected to
   at once, and a small request fits into any buffer. A large message or body is waited for only
   while the server is busy with it. */
static void start(struct connection *c) {
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (c->socket < 0) fail("socket", strerror(errno));
    if (connect(c->socket, (struct sockaddr *)&server, sizeof server))
        fail("cannot connect", strerror(errno));
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (handshake) shake_hands(c);
    if (!fans_out) ask(c);
}

/* Whether all of the answer is there; there must be no more than that. */
static int is_complete(struct connection *c) {
    if (handshake) return c->have == body_size;
    if (is_long && c->part == END && c->have < body_size) fail("the answer is too short", "");
    if (is_long) return c->part == END;
    char *end = memmem(c->answer, c->have, "\r\n\r\n", 4);
    if (!end) return 0;
    if (strncmp(c->answer, "HTTP/1.1 200", 12)) fail("wrong status", c->answer);
    size_t got = c->have - (end + 4 - c->answer);
    if (body_number) memcpy(body_number, c->number, DIGITS);
    if (got > body_size || memcmp(end + 4, body, got)) fail("wrong body", end + 4);
    return got == body_size;
}

static int take(struct connection *c) {
    return (handshake ? take_message : is_long ? take_long : take_http)(c);
}

static void watch(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(events, EPOLL_CTL_ADD, c->socket, &event)) fail("epoll", strerror(errno));
}

static void publish(void) {
    unheard = connections;
    ask(all);
}

static void go_on(struct connection *c) {
    int ended = take(c);
    if (!ended && closes) return;
    if (!is_complete(c)) {
        if (ended) fail("the server closed a connection", "");
        return;
    }
    answers++;
    if (closes) {
        close(c->socket);
        start(c);
        watch(c);
    } else if (ended) {
        fail("the server closed a connection", "");
    } else if (fans_out) {
        c->have = 0;
        if (!--unheard) publish();
    } else {
        ask(c);
    }
}

/* The sockets of connections that have been answered once. */
static int *open_idle(int idle) {
    static struct connection c;
    int *sockets = calloc(idle + 1, sizeof *sockets);
    if (!sockets) fail("no memory", "");
    for (int i = 0; i < idle; i++) {
        for (start(&c); !is_complete(&c);)
            if (take(&c)) fail("the server closed a connection", "");
        sockets[i] = c.socket;
    }
    return sockets;
}

static void check_idle(const int *sockets, int idle) {
    char byte;
    for (int i = 0; i < idle; i++)
        if (recv(sockets[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            fail("the server closed an idle connection", "");
}

static void open_all(void) {
    for (int i = 0; i < connections; i++) {
        start(&all[i]);
        watch(&all[i]);
    }
    if (fans_out) publish();
}

static void run(double seconds, const int *sockets, int idle) {
    answers = 0;
    double begun = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID), now;
    if (!handshake) open_all();
    while ((now = seconds_of(CLOCK_MONOTONIC)) < begun + seconds) {
        struct epoll_event ready[64];
        int size = epoll_wait(events, ready, 64, 10);
        for (int i = 0; i < size; i++) go_on(ready[i].data.ptr);
    }
    used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    for (int i = 0; i < connections && !handshake; i++) close(all[i].socket);
    check_idle(sockets, idle);
    printf("answers %ld seconds %.6f cpu %.6f\n", answers, now - begun, used);
    fflush(stdout);
}

/* Behind what there is, a text over and over. */
static char *followed_by(const char *there, size_t have, const char *text, size_t size) {
    size_t text_size = strlen(text);
    char *whole = malloc(have + size);
    if (!whole) fail("no memory", "");
    memcpy(whole, there, have);
    for (size_t i = 0; i < size; i++) whole[have + i] = text[i % text_size];
    return whole;
}

/* The head of a frame that is not masked; what comes back is its size. */
static size_t put_head(char *head, int opcode, size_t size) {
    int more = size < 126 ? 0 : size < 1 << 16 ? 2 : 8;
    head[0] = 0x80 | opcode;
    head[1] = more == 0 ? size : more == 2 ? 126 : 127;
    for (int i = 0; i < more; i++) head[2 + i] = size >> 8 * (more - 1 - i);
    return 2 + more;
}

/* From now on a message is sent, masked, and the same message is awaited. */
static void use_websockets(const char *kind, size_t size) {
    char start[MOST_OF_HEAD + KEY_SIZE];
    size_t head = put_head(start, strcmp(kind, "binary") ? 1 : 2, size);
    size_t number = body_number ? body_number - body : 0;
    handshake = request;
    fans_out = !strcmp(kind, "fanout");
    const char *text = body;
    body = followed_by(start, head, text, size);
    start[1] |= 0x80;
    memcpy(start + head, KEY, KEY_SIZE);
    request = followed_by(start, head + KEY_SIZE, text, size);
    char *plain = body + head, *masked = request + head + KEY_SIZE;
    for (size_t i = 0; i < size; i++) masked[i] ^= KEY[i % KEY_SIZE];
    body_size = head + size;
    request_size = body_size + KEY_SIZE;
    if (!body_number) return;
    body_number = plain + number;
    request_number = masked + number;
    for (int i = 0; i < DIGITS; i++) number_mask[i] = KEY[(number + i) % KEY_SIZE];
}

static void use_long(size_t size) {
    is_long = 1;
    body = followed_by("", 0, body, size);
    body_size = size;
    body_number = NULL;
}

static void use_upload(size_t size) {
    request = followed_by(request, request_size, body, size);
    request_size += size;
    request_number = NULL;
}

static void use(const char *kind, size_t size) {
    if (!strcmp(kind, "long")) use_long(size);
    else if (!strcmp(kind, "upload")) use_upload(size);
    else use_websockets(kind, size);
}

int main(int argc, char **argv) {
    if (argc != 6 && argc != 8)
        fail("usage: load PORT CONNECTIONS IDLE REQUEST BODY [KIND SIZE]", "");
    int idle = atoi(argv[3]);
    double seconds;
    port = atoi(argv[1]);
    connections = atoi(argv[2]);
    request = argv[4];
    body = argv[5];
    request_size = strlen(request);
    body_size = strlen(body);
    request_number = strstr(request, NUMBER);
    body_number = strstr(body, NUMBER);
    closes = strstr(request, "\r\nConnection: close\r\n") != NULL;
    if (argc == 8) use(argv[6], atol(argv[7]));
    all = calloc(connections + 1, sizeof *all);
    if (!all) fail("no memory", "");
    events = epoll_create1(0);

    alarm(60);
    int *sockets = open_idle(idle);
    puts("ready");
    fflush(stdout);
    while (scanf("%lf", &seconds) == 1) {
        alarm(seconds + 60);
        if (handshake && !all->socket) open_all();
        run(seconds, sockets, idle);
    }
    return 0;
}
