/* An order service in C on libuv: one loop reads requests, calls the upstream over kept connections
 * and waits by timers; what waits for an answer is a callback of its connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define HEAD 4096

struct job;

/* A connection of ours to the upstream. */
struct link {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct job *job;
    char request[512], answer[HEAD];
    size_t length;
    struct link *next;
};

/* A connection of a client to us, and its request. */
struct job {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    char head[HEAD], verb[32], id[128];
    size_t length;
    int left, tried, closed, handles;
    struct link *late;
    void (*answered)(struct job *, int status);
    struct job *next;
};

static uv_loop_t *loop;
static struct sockaddr_in upstream;
static struct link *idle;
static struct job *waiting, **last = &waiting;
static int locked;

static void room(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void)size;
    struct job *job = handle->data;
    *buffer = uv_buf_init(job->head + job->length, HEAD - 1 - job->length);
}

static void link_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void)size;
    struct link *link = handle->data;
    *buffer = uv_buf_init(link->answer + link->length, HEAD - 1 - link->length);
}

static void link_gone(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop(struct link *link)
{
    if (!uv_is_closing((uv_handle_t *)&link->tcp))
        uv_close((uv_handle_t *)&link->tcp, link_gone);
}

static void answered(struct link *link, int status)
{
    struct job *job = link->job;
    link->job = NULL;
    if (job) {
        job->late = NULL;
        job->answered(job, status);
    }
}

static void link_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    (void)buffer;
    struct link *link = stream->data;
    if (got <= 0) {
        for (struct link **at = &idle; *at; at = &(*at)->next)
            if (*at == link) {
                *at = link->next;
                break;
            }
        if (got < 0) {
            answered(link, 0);
            drop(link);
        }
        return;
    }
    link->length += got;
    link->answer[link->length] = 0;
    char *end = strstr(link->answer, "\r\n\r\n"), *length = strstr(link->answer, "Content-Length:");
    if (!end || !length || link->length < (end + 4 - link->answer) + strtoul(length + 15, NULL, 10))
        return;
    int status = atoi(link->answer + 9);
    link->length = 0;
    link->next = idle;
    idle = link;
    answered(link, status);
}

static void sent(uv_write_t *write, int error)
{
    struct link *link = write->data;
    if (error)
        drop(link);
}

static void send_request(struct link *link)
{
    uv_buf_t buffer = uv_buf_init(link->request, strlen(link->request));
    link->write.data = link;
    uv_write(&link->write, (uv_stream_t *)&link->tcp, &buffer, 1, sent);
}

static void connected(uv_connect_t *connect, int error)
{
    struct link *link = connect->data;
    if (error) {
        answered(link, 0);
        drop(link);
        return;
    }
    uv_read_start((uv_stream_t *)&link->tcp, link_room, link_read);
    send_request(link);
}

static struct link *fetch(struct job *job, const char *kind, int step)
{
    struct link *link = idle;
    int kept = link != NULL;
    if (kept) {
        idle = link->next;
    } else {
        link = calloc(1, sizeof *link);
        uv_tcp_init(loop, &link->tcp);
        uv_tcp_nodelay(&link->tcp, 1);
        link->tcp.data = link->connect.data = link;
    }
    link->job = job;
    snprintf(link->request, sizeof link->request,
             "GET /%s/%s/%d HTTP/1.1\r\nHost: upstream\r\n\r\n", kind, job->id, step);
    if (kept)
        send_request(link);
    else
        uv_tcp_connect(&link->connect, &link->tcp, (struct sockaddr *)&upstream, connected);
    return link;
}

static void next_request(struct job *job);

static void handle_gone(uv_handle_t *handle)
{
    struct job *job = handle->data;
    if (--job->handles == 0)
        free(job);
}

static void leave(struct job *job)
{
    uv_close((uv_handle_t *)&job->tcp, handle_gone);
    uv_close((uv_handle_t *)&job->timer, handle_gone);
}

static void written(uv_write_t *write, int error)
{
    struct job *job = write->data;
    if (error)
        job->closed = 1;
}

/* The request is done; the client may have sent its next one. */
static void finish(struct job *job)
{
    job->verb[0] = 0;
    if (job->closed)
        leave(job);
    else
        next_request(job);
}

static void say(struct job *job)
{
    static char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";
    uv_buf_t buffer = uv_buf_init(answer, sizeof answer - 1);
    job->write.data = job;
    if (!job->closed)
        uv_write(&job->write, (uv_stream_t *)&job->tcp, &buffer, 1, written);
}

static void done(struct job *job)
{
    say(job);
    finish(job);
}

static void done_with_status(struct job *job, int status)
{
    (void)status;
    done(job);
}

static void waited(uv_timer_t *timer)
{
    done(timer->data);
}

static void then_wait(struct job *job, int status)
{
    (void)status;
    uv_timer_start(&job->timer, waited, 3, 0);
}

static void second(uv_timer_t *timer)
{
    struct job *job = timer->data;
    job->answered = done_with_status;
    fetch(job, "leaf", 2);
}

static void then_second(struct job *job, int status)
{
    (void)status;
    uv_timer_start(&job->timer, second, 3, 0);
}

static void one_less(struct job *job, int status)
{
    (void)status;
    if (--job->left == 0)
        done(job);
}

static void again(struct job *job, int status)
{
    if (status == 503 && !job->tried) {
        job->tried = 1;
        fetch(job, "flaky", 1);
    } else {
        done(job);
    }
}

static void unlock(struct job *job, int status)
{
    (void)status;
    struct job *next = waiting;
    if (next) {
        waiting = next->next;
        if (!waiting)
            last = &waiting;
        fetch(next, "leaf", 1);
    } else {
        locked = 0;
    }
    done(job);
}

static void too_late(uv_timer_t *timer)
{
    struct job *job = timer->data;
    if (job->late) {
        job->late->job = NULL;
        drop(job->late);
        job->late = NULL;
    }
    done(job);
}

static void in_time(struct job *job, int status)
{
    (void)status;
    uv_timer_stop(&job->timer);
    done(job);
}

static void finished(struct job *job, int status)
{
    (void)status;
    finish(job);
}

static void afterwards(uv_timer_t *timer)
{
    struct job *job = timer->data;
    job->answered = finished;
    fetch(job, "leaf", 1);
}

static void serve(struct job *job)
{
    job->answered = done_with_status;
    if (!strcmp(job->verb, "work")) {
        job->answered = then_wait;
        fetch(job, "leaf", 1);
    } else if (!strcmp(job->verb, "seq")) {
        job->answered = then_second;
        fetch(job, "leaf", 1);
    } else if (!strcmp(job->verb, "fan")) {
        job->answered = one_less;
        job->left = 3;
        for (int step = 1; step <= 3; step++)
            fetch(job, "leaf", step);
    } else if (!strcmp(job->verb, "retry")) {
        job->answered = again;
        job->tried = 0;
        fetch(job, "flaky", 1);
    } else if (!strcmp(job->verb, "lock")) {
        job->answered = unlock;
        job->next = NULL;
        if (locked) {
            *last = job;
            last = &job->next;
        } else {
            locked = 1;
            fetch(job, "leaf", 1);
        }
    } else if (!strcmp(job->verb, "late")) {
        job->answered = in_time;
        uv_timer_start(&job->timer, too_late, 50, 0);
        job->late = fetch(job, "slow", 1);
    } else if (!strcmp(job->verb, "after")) {
        say(job);
        uv_timer_start(&job->timer, afterwards, 3, 0);
    } else {
        done(job);
    }
}

/* Requests of these clients have no body, and the next one comes behind the answer. */
static void next_request(struct job *job)
{
    job->head[job->length] = 0;
    if (job->verb[0] || !strstr(job->head, "\r\n\r\n"))
        return;
    job->length = 0;
    if (sscanf(job->head, "GET /%31[^/]/%127[^/ ]", job->verb, job->id) == 2)
        serve(job);
    else
        leave(job);
}

static void client_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    (void)buffer;
    struct job *job = stream->data;
    if (got > 0) {
        job->length += got;
        next_request(job);
    } else if (got < 0) {
        job->closed = 1;
        uv_read_stop(stream);
        if (!job->verb[0])
            leave(job);
    }
}

static void accepted(uv_stream_t *listener, int error)
{
    if (error)
        return;
    struct job *job = calloc(1, sizeof *job);
    job->handles = 2;
    uv_tcp_init(loop, &job->tcp);
    uv_timer_init(loop, &job->timer);
    job->tcp.data = job->timer.data = job;
    if (uv_accept(listener, (uv_stream_t *)&job->tcp)) {
        leave(job);
        return;
    }
    uv_tcp_nodelay(&job->tcp, 1);
    uv_read_start((uv_stream_t *)&job->tcp, room, client_read);
}

int main(void)
{
    const char *port = getenv("PORT"), *address = getenv("UPSTREAM");
    struct sockaddr_in own;
    uv_tcp_t listener;
    if (!port)
        port = "8080";
    if (!address)
        address = "http://127.0.0.1:1";
    loop = uv_default_loop();
    uv_ip4_addr("127.0.0.1", atoi(strrchr(address, ':') + 1), &upstream);
    uv_ip4_addr("127.0.0.1", atoi(port), &own);
    uv_tcp_init(loop, &listener);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&own, 0) ||
        uv_listen((uv_stream_t *)&listener, 128, accepted)) {
        fprintf(stderr, "cannot listen on %s\n", port);
        return 1;
    }
    printf("listening on %s\n", port);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
