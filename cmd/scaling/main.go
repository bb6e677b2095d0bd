// Command scaling prints the tables of docs/scaling.md, also for other assumptions:
//
//	go run ./cmd/scaling
//	go run ./cmd/scaling -clips 64 -share 0.4 -network 10 -grad-bytes 2
package main

import (
	"flag"
	"fmt"
	"os"

	"avjepa/internal/scaling"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "scaling: "+err.Error())
		os.Exit(1)
	}
}

func run() error {
	a := scaling.Default()
	network, bucket := a.Network/1e9, a.BucketBytes>>20
	flag.IntVar(&a.Clips, "clips", a.Clips, "clips a GPU and step")
	flag.Float64Var(&a.ComputeShare, "share", a.ComputeShare, "of the product's rate that a step reaches")
	flag.Float64Var(&network, "network", network, "GB/s that a GPU sends to other nodes")
	flag.IntVar(&bucket, "bucket", bucket, "MiB of a bucket of gradients")
	flag.IntVar(&a.GradBytes, "grad-bytes", a.GradBytes, "of a gradient value on the wire: 4 or 2")
	flag.Float64Var(&a.Spread, "spread", a.Spread, "deviation of a process's step time, of its mean")
	flag.Parse()
	a.Network, a.BucketBytes = network*1e9, bucket<<20
	if err := a.Validate(); err != nil {
		return err
	}
	w, err := scaling.Count()
	if err != nil {
		return err
	}
	for _, t := range scaling.Tables(w, a) {
		fmt.Printf("%s\n\n%s\n", t.Name, t.Text)
	}
	return nil
}
