# avjepa with ffmpeg, for machines with a container engine:
#
#     docker build -t avjepa .
#     docker run --rm -v "$PWD:/work" avjepa demo
#     docker run --rm -v "$PWD:/work" -p 127.0.0.1:8420:8420 avjepa serve --listen 0.0.0.0:8420
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags=-s -tags static -o /avjepa ./cmd/avjepa

FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ffmpeg ca-certificates \
	&& rm -rf /var/lib/apt/lists/*
COPY --from=build /avjepa /usr/local/bin/avjepa
RUN useradd --create-home --uid 1000 avjepa
USER avjepa
WORKDIR /work
EXPOSE 8420
ENTRYPOINT ["avjepa"]
CMD ["--help"]
