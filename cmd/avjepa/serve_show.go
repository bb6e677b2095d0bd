package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"

	"avjepa/internal/server"
)

// addresses returns the URLs under which the server answers, with the token where one is
// asked for. It stands behind a # so that no log has it.
func addresses(scheme string, addr net.Addr, host, token string) []string {
	_, port, _ := net.SplitHostPort(addr.String())
	names := []string{host}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		names = nil
		found, _ := net.InterfaceAddrs()
		for _, a := range found {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				names = append(names, n.IP.String())
			}
		}
		names = append(names, "127.0.0.1")
	}
	var urls []string
	for _, name := range names {
		u := scheme + "://" + net.JoinHostPort(name, port) + "/"
		if token != "" {
			u += "#t=" + token
		}
		urls = append(urls, u)
	}
	return urls
}

// showServe says where the server is and what it has loaded.
func showServe(out io.Writer, urls []string, s *server.Server, lib *servedLibrary, asJSON bool) error {
	cfg, model := s.Config(), ""
	if m, ok := s.Model(); ok {
		model = m.Name
	}
	info, err := s.Library(context.Background())
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, map[string]any{"urls": urls, "token": cfg.Token, "model": model,
			"library": info.Name, "clips": info.Clips})
	}
	fmt.Fprintf(out, "%s\n", strings.Join(urls, "\n"))
	if model == "" {
		model = "no model"
	}
	clips := amount(info.Clips, "clips") + " in " + info.Name
	if !lib.there() {
		clips = "no library in " + info.Name + " yet"
	}
	_, err = fmt.Fprintf(out, "%s, %s, runs in %s. Ctrl-C ends it.\n", model, clips, cfg.RunsDir)
	return err
}

// openBrowser tries to; the URL is on the screen anyway.
func openBrowser(url string) {
	var c *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		c = exec.Command("open", url)
	case "windows":
		c = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	default:
		c = exec.Command("xdg-open", url)
	}
	if c.Start() == nil {
		go c.Wait()
	}
}
