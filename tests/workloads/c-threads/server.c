/* An order service in C: one thread waits for requests with epoll, workers answer them.
 * STYLE=parsed: the waiting thread reads the request and hands it on; else the worker reads it. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 8
#define QUEUE 1024
#define HEAD 4096

/* A connection that has something to read, and its request's head if that was read already. */
struct job {
    int fd;
    char head[HEAD];
};

static const char *upstream;
static int parsed;
static int poller;

static struct job *queue[QUEUE];
static unsigned first, last;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void push(struct job *job)
{
    pthread_mutex_lock(&queue_lock);
    if (last - first == QUEUE) {
        close(job->fd);
        free(job);
    } else {
        queue[last++ % QUEUE] = job;
        pthread_cond_signal(&queue_filled);
    }
    pthread_mutex_unlock(&queue_lock);
}

static struct job *pop(void)
{
    pthread_mutex_lock(&queue_lock);
    while (first == last)
        pthread_cond_wait(&queue_filled, &queue_lock);
    struct job *job = queue[first++ % QUEUE];
    pthread_mutex_unlock(&queue_lock);
    return job;
}

static size_t discard(char *bytes, size_t size, size_t count, void *user)
{
    (void)bytes;
    (void)user;
    return size * count;
}

static long fetch(CURL *curl, const char *kind, const char *id, int step, long timeout_ms)
{
    char url[512];
    long status = 0;
    snprintf(url, sizeof url, "%s/%s/%s/%d", upstream, kind, id, step);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

struct part {
    const char *id;
    int step;
};

static void *one_of_three(void *argument)
{
    struct part *part = argument;
    CURL *curl = curl_easy_init();
    fetch(curl, "leaf", part->id, part->step, 30000);
    curl_easy_cleanup(curl);
    return NULL;
}

static void fan(const char *id)
{
    pthread_t threads[3];
    struct part parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct part){id, i + 1};
        pthread_create(&threads[i], NULL, one_of_three, &parts[i]);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static void serve(CURL *curl, const char *verb, const char *id)
{
    if (!strcmp(verb, "work")) {
        fetch(curl, "leaf", id, 1, 30000);
        usleep(3000);
    } else if (!strcmp(verb, "seq")) {
        fetch(curl, "leaf", id, 1, 30000);
        usleep(3000);
        fetch(curl, "leaf", id, 2, 30000);
    } else if (!strcmp(verb, "fan")) {
        fan(id);
    } else if (!strcmp(verb, "lock")) {
        pthread_mutex_lock(&one_at_a_time);
        fetch(curl, "leaf", id, 1, 30000);
        pthread_mutex_unlock(&one_at_a_time);
    } else if (!strcmp(verb, "retry")) {
        if (fetch(curl, "flaky", id, 1, 30000) == 503)
            fetch(curl, "flaky", id, 1, 30000);
    } else if (!strcmp(verb, "late")) {
        fetch(curl, "slow", id, 1, 50);
    }
}

/* Requests of these clients have no body and come in one piece, or soon. */
static int read_head(int fd, char *head)
{
    size_t length = 0;
    while (length < HEAD - 1) {
        ssize_t got = recv(fd, head + length, HEAD - 1 - length, 0);
        if (got <= 0)
            return 0;
        length += got;
        head[length] = 0;
        if (strstr(head, "\r\n\r\n"))
            return 1;
    }
    return 0;
}

static void *worker(void *unused)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";
    CURL *curl = curl_easy_init();
    (void)unused;
    for (;;) {
        struct job *job = pop();
        char verb[32] = "", id[128] = "";
        if ((parsed || read_head(job->fd, job->head)) &&
            sscanf(job->head, "GET /%31[^/]/%127[^/ ]", verb, id) == 2) {
            serve(curl, verb, id);
            send(job->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
            struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = job->fd};
            epoll_ctl(poller, EPOLL_CTL_MOD, job->fd, &again);
        } else {
            close(job->fd);
        }
        free(job);
    }
    return NULL;
}

static void ready(int fd)
{
    struct job *job = calloc(1, sizeof *job);
    job->fd = fd;
    if (parsed && !read_head(fd, job->head)) {
        close(fd);
        free(job);
        return;
    }
    push(job);
}

int main(void)
{
    const char *port = getenv("PORT"), *style = getenv("STYLE");
    struct sockaddr_in address = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    upstream = getenv("UPSTREAM") ? getenv("UPSTREAM") : "http://127.0.0.1:1";
    parsed = style && !strcmp(style, "parsed");
    address.sin_port = htons(atoi(port ? port : "8080"));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) {
        perror("bind");
        return 1;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (int i = 0; i < WORKERS; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, worker, NULL);
    }
    printf("listening on %s\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != listener) {
                ready(events[i].data.fd);
                continue;
            }
            event.data.fd = accept(listener, NULL, NULL);
            event.events = EPOLLIN | EPOLLONESHOT;
            epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
        }
    }
}
