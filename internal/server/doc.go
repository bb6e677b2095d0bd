// Package server answers over HTTP what a library of clips and a trained model
// know: search by example, why two clips belong together, the library itself,
// its map, runs as they train, and models.
//
//	s, err := server.New(server.Config{Library: lib, Model: model, RunsDir: "runs"})
//	defer s.Close()
//	http.Serve(listener, s.Handler())
//
// The routes below /v1 are described in openapi.yaml, to which tests hold them.
// Everything outside /v1, /healthz, /readyz and /metrics belongs to the pages
// that [Config.Pages] registers. They take what they show from the methods of
// [Server] that the routes use: Clips, Clip, Search, Explain, Runs, Run, …
//
// # Words
//
// A clip is an entry of the library. A query is what was uploaded to search with:
// it is kept in memory for a while under an id of its own. A medium is the decoded
// form of either, as the model sees it. A job is work that goes on after its
// request was answered.
//
// # Load
//
// Requests that need the model pass a gate that lets a bounded number wait, then a
// decoder (as many as cores), then the executor: one goroutine that owns the model
// and puts the clips of several requests into one batch.
package server
