/* A load of HTTP/1.1 requests to 127.0.0.1, each answer to which is compared to the byte.

       load PORT CONNECTIONS IDLE REQUEST BODY

   IDLE connections are opened, make one request each, and are left alone; then it prints
   "ready". For each line of its input, a number of seconds, CONNECTIONS more make one request
   after another for so long, and it prints how many answers came, in what time, and the
   processor time that it needed itself. Where REQUEST says "Connection: close" each is made on
   a connection of its own, which the server closes.

   NUMBER in REQUEST and BODY stands for six digits that are others in each request.

   It ends with status 1 at the first answer that is not 200 with exactly BODY, at the first
   connection that is closed too early, and when it is not done a minute after it should be. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NUMBER "NUMBER" /* as long as what it stands for */
#define DIGITS 6

struct connection {
    int socket;
    size_t have;
    char number[DIGITS + 1];
    char answer[8192];
};

static int port, events, closes;
static long answers;
static char *request, *body, *request_number, *body_number;
static size_t request_size, body_size;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s%s%.300s\n", what, *detail ? ": " : "", detail);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void ask(struct connection *c) {
    static unsigned asked;
    snprintf(c->number, sizeof c->number, "%06u", asked++ % 1000000);
    if (request_number) memcpy(request_number, c->number, DIGITS);
    c->have = 0;
    if (send(c->socket, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
        fail("cannot send", strerror(errno));
}

/* Calls block, which on loopback is no wait: a server with room in its backlog is connected to
   at once, and a small request fits into any buffer. */
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
    ask(c);
}

/* Whether all of the answer is there; there must be no more than that. */
static int is_complete(struct connection *c) {
    c->answer[c->have] = 0;
    char *end = memmem(c->answer, c->have, "\r\n\r\n", 4);
    if (!end) return 0;
    if (strncmp(c->answer, "HTTP/1.1 200", 12)) fail("wrong status", c->answer);
    size_t got = c->have - (end + 4 - c->answer);
    if (body_number) memcpy(body_number, c->number, DIGITS);
    if (got > body_size || memcmp(end + 4, body, got)) fail("wrong body", end + 4);
    return got == body_size;
}

/* Whether the server has closed the connection. */
static int take(struct connection *c) {
    size_t room = sizeof c->answer - 1 - c->have;
    if (!room) fail("an answer is too long", "");
    ssize_t got = recv(c->socket, c->answer + c->have, room, 0);
    if (got < 0) fail("cannot receive", strerror(errno));
    c->have += got;
    return !got;
}

static void watch(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(events, EPOLL_CTL_ADD, c->socket, &event)) fail("epoll", strerror(errno));
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

static void run(int connections, double seconds, const int *sockets, int idle) {
    struct connection *all = calloc(connections, sizeof *all);
    if (!all) fail("no memory", "");
    answers = 0;
    double begun = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID), now;
    for (int i = 0; i < connections; i++) {
        start(&all[i]);
        watch(&all[i]);
    }
    while ((now = seconds_of(CLOCK_MONOTONIC)) < begun + seconds) {
        struct epoll_event ready[64];
        int size = epoll_wait(events, ready, 64, 10);
        for (int i = 0; i < size; i++) go_on(ready[i].data.ptr);
    }
    used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    for (int i = 0; i < connections; i++) close(all[i].socket);
    free(all);
    check_idle(sockets, idle);
    printf("answers %ld seconds %.6f cpu %.6f\n", answers, now - begun, used);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage: load PORT CONNECTIONS IDLE REQUEST BODY", "");
    int idle = atoi(argv[3]);
    double seconds;
    port = atoi(argv[1]);
    request = argv[4];
    body = argv[5];
    request_size = strlen(request);
    body_size = strlen(body);
    request_number = strstr(request, NUMBER);
    body_number = strstr(body, NUMBER);
    closes = strstr(request, "\r\nConnection: close\r\n") != NULL;
    events = epoll_create1(0);

    alarm(60);
    int *sockets = open_idle(idle);
    puts("ready");
    fflush(stdout);
    while (scanf("%lf", &seconds) == 1) {
        alarm(seconds + 60);
        run(atoi(argv[2]), seconds, sockets, idle);
    }
    return 0;
}
