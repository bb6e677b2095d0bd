// Package browsertest uses pages in a real Chromium, for tests.
//
//	b := browsertest.Start(t)
//	x := b.Open(t, "http://127.0.0.1:8420")
//	x.Visit("/")
//	x.Until("cards", `document.querySelector(".card")`)
//
// A tab fails its test on every error of a script, report of the content policy and
// request to another host.
package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Required reports whether a missing thing is a failure.
func Required(what string) bool {
	return slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), what)
}

// missing skips the test, or fails where the thing is required.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if Required(what) {
		t.Fatalf("AVJEPA_REQUIRE has %s: %v", what, err)
	}
	t.Skip(err)
}

// Patience is how long a step may take: machines that do other work are slow.
const Patience = 30 * time.Second

// Browser is a real one, started once for all tests of the suite.
type Browser struct{ ctx context.Context }

// Start starts chromium, until the test ends. Without it the test is left out, or
// fails where AVJEPA_REQUIRE has chromium.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	all, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(all) // no timeout: the browser would end with it
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return &Browser{ctx}
}

// Tab is a page of the browser that fails its test on every error of a script, report
// of the content policy, and request to another host.
type Tab struct {
	testing.TB
	ctx  context.Context
	base string

	mu     sync.Mutex
	Allow  string // part of a console message that is expected
	faults []string
}

// Open opens a tab for a server's pages.
func (b *Browser) Open(t testing.TB, base string) *Tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*Patience)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(stop)
	x := &Tab{TB: t, ctx: ctx, base: base}
	host, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	listen := func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			x.fault(fmt.Sprintf("script: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		case *runtime.EventConsoleAPICalled:
			if e.Type == "error" || e.Type == "warning" {
				x.fault(fmt.Sprintf("console %s: %v", e.Type, e.Args))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == "error" {
				x.fault(fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
			}
		case *audits.EventIssueAdded:
			if d := e.Issue.Details; d != nil && d.ContentSecurityPolicyIssueDetails != nil {
				x.fault(fmt.Sprintf("content policy: %+v", d.ContentSecurityPolicyIssueDetails))
			}
		case *network.EventRequestWillBeSent:
			u, err := url.Parse(e.Request.URL)
			if err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "ws") &&
				u.Host != host.Host {
				x.fault("request to another host: " + e.Request.URL)
			}
		}
	}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, audits.Enable} {
		if _, err := chromedp.Call(ctx, enable, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, f := range x.faults {
			t.Error(f)
		}
	})
	return x
}

func (x *Tab) fault(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.Allow == "" || !strings.Contains(text, x.Allow) {
		x.faults = append(x.faults, text)
	}
}

// Do runs steps within a time.
func (x *Tab) Do(what string, steps ...chromedp.Action[chromedp.Void]) {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		if picture, e := chromedp.Run(x.ctx, chromedp.CaptureScreenshot()); e == nil {
			name := filepath.Join(os.TempDir(), "avjepa-page.png")
			_ = os.WriteFile(name, picture, 0o644)
		}
		x.Fatalf("%s: %v", what, err)
	}
}

// Visit opens a page of the server.
func (x *Tab) Visit(path string) {
	x.Helper()
	x.Do("open "+path, chromedp.Navigate(x.base+path))
}

// Until waits for an expression to be true on a page that is loaded, across pages that
// follow each other.
func (x *Tab) Until(what, expression string) {
	x.Helper()
	var last error
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var ok bool
		ctx, cancel := context.WithTimeout(x.ctx, Patience)
		ok, last = chromedp.Run(ctx, chromedp.Evaluate[bool](
			`document.readyState === "complete" && !!(`+expression+`)`))
		cancel()
		if ok {
			return
		}
	}
	x.Fatalf("%s: not within %v: %s (%v)", what, Patience, expression, last)
}

// Eval returns the value of an expression.
func Eval[T any](x *Tab, expression string) T {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, 2*Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		x.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Keys presses keys one after the other.
func (x *Tab) Keys(list ...string) {
	x.Helper()
	for _, k := range list {
		x.Do("key "+k, chromedp.KeyEvent(k))
	}
}

// Screen sets the size of the page and its colours.
func (x *Tab) Screen(width int64, dark bool) {
	x.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	x.Do("screen", chromedp.EmulateViewport(width, 900),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme},
					{Name: "prefers-reduced-motion", Value: "reduce"}}})
			return err
		}))
}

// Discard runs an action for what it does.
func Discard[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := a(ctx, t)
		return chromedp.Void{}, err
	}
}

// Picture writes what the tab shows to the folder that AVJEPA_SCREENSHOTS names.
func (x *Tab) Picture(name string) {
	x.Helper()
	dir := os.Getenv("AVJEPA_SCREENSHOTS")
	if dir == "" {
		return
	}
	data, err := chromedp.Run(x.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		x.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		x.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		x.Fatal(err)
	}
}
