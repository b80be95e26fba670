/* A device that reports to carcloud over MQTT 3.1.1 with plain sockets: no library, about 1 KB RAM.

       cc -std=c99 -Wall -o mqtt_device mqtt_device.c
       CARCLOUD_VEHICLE_TOKEN=cvt_... ./mqtt_device 127.0.0.1 1883 CAR-0001 63.5

   It connects, publishes one batch at QoS 1, and ends with 0 once the gateway has acknowledged it:
   from then on the batch is durable. Over the open network put TLS around the socket. */

#define _POSIX_C_SOURCE 200112L
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH_QOS1 = 0x32, PUBACK = 0x40, DISCONNECT = 0xE0 };

/* A packet under way: one fixed header, at most 3 bytes of length. */
static unsigned char body[1024];
static size_t used;

static void put_bytes(const void *data, size_t size) {
    if (used + size > sizeof body) { fprintf(stderr, "the packet is too large\n"); exit(2); }
    memcpy(body + used, data, size);
    used += size;
}

static void put_u16(unsigned value) {
    unsigned char two[2] = { (unsigned char)(value >> 8), (unsigned char)value };
    put_bytes(two, 2);
}

static void put_text(const char *text) {
    put_u16((unsigned)strlen(text));
    put_bytes(text, strlen(text));
}

static void write_all(int link, const unsigned char *data, size_t size) {
    while (size > 0) {
        ssize_t done = write(link, data, size);
        if (done <= 0) { perror("write"); exit(1); }
        data += done;
        size -= (size_t)done;
    }
}

/* MQTT 3.1.1, 2.2: type and flags, then the length in groups of 7 bits. */
static void send_packet(int link, unsigned char type) {
    unsigned char head[4] = { type };
    size_t size = 1, rest = used;
    do {
        head[size] = (unsigned char)(rest & 0x7F);
        rest >>= 7;
        if (rest > 0) head[size] |= 0x80;
        size++;
    } while (rest > 0);
    write_all(link, head, size);
    write_all(link, body, used);
    used = 0;
}

/* CONNACK and PUBACK of version 3.1.1 have 4 bytes each. */
static void expect(int link, unsigned char type, unsigned char reply[4]) {
    size_t have = 0;
    while (have < 4) {
        ssize_t got = read(link, reply + have, 4 - have);
        if (got <= 0) { fprintf(stderr, "the gateway has closed the connection\n"); exit(1); }
        have += (size_t)got;
    }
    if (reply[0] != type || reply[1] != 2) {
        fprintf(stderr, "packet 0x%02X came, 0x%02X is wanted\n", reply[0], type);
        exit(1);
    }
}

static int dial(const char *host, const char *port) {
    struct addrinfo want, *found;
    memset(&want, 0, sizeof want);
    want.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &want, &found) != 0) return -1;
    int link = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (link >= 0 && connect(link, found->ai_addr, found->ai_addrlen) != 0) {
        close(link);
        link = -1;
    }
    freeaddrinfo(found);
    return link;
}

int main(int argc, char **argv) {
    const char *token = getenv("CARCLOUD_VEHICLE_TOKEN");
    if (argc != 5 || token == NULL) {
        fprintf(stderr, "CARCLOUD_VEHICLE_TOKEN=... %s HOST PORT VEHICLE SPEED\n", argv[0]);
        return 2;
    }
    const char *vehicle = argv[3];
    int link = dial(argv[1], argv[2]);
    if (link < 0) { perror("connect"); return 1; }

    unsigned char reply[4];
    put_text("MQTT");
    put_bytes("\x04\xC2", 2);  /* version 4 = 3.1.1; user name, password, clean session */
    put_u16(60);               /* keep alive, s */
    put_text(vehicle);         /* client id */
    put_text(vehicle);         /* user name */
    put_text(token);           /* password */
    send_packet(link, CONNECT);
    expect(link, CONNACK, reply);
    if (reply[3] != 0) { fprintf(stderr, "refused: %d\n", reply[3]); return 1; }

    char topic[128], batch[256];
    struct timeval now;
    gettimeofday(&now, NULL);
    snprintf(topic, sizeof topic, "v1/%s/signals", vehicle);
    snprintf(batch, sizeof batch, "{\"time\":%lld.%03d,\"values\":{\"Vehicle.Speed\":%.2f}}",
             (long long)now.tv_sec * 1000 + now.tv_usec / 1000, (int)(now.tv_usec % 1000),
             atof(argv[4]));
    put_text(topic);
    put_u16(1);  /* packet identifier, which the acknowledgement names */
    put_bytes(batch, strlen(batch));
    send_packet(link, PUBLISH_QOS1);
    expect(link, PUBACK, reply);
    if (reply[2] != 0 || reply[3] != 1) { fprintf(stderr, "another was acknowledged\n"); return 1; }
    printf("durable: %s\n", batch);

    send_packet(link, DISCONNECT);
    close(link);
    return 0;
}
