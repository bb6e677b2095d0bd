package pages_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// TestStates looks at the pages that people see when something is missing.
func TestStates(t *testing.T) {
	h := serve(t, server.Config{})
	for path, want := range map[string]string{
		"/":            "Nothing is loaded yet",
		"/library":     "No library",
		"/map":         "There is no map",
		"/runs":        "There is no run yet",
		"/models":      "No model is loaded, and no run has a checkpoint",
		"/jobs":        "Nothing is running",
		"/keys":        "Keys",
		"/start":       "Nothing is loaded yet",
		"/phone":       "Only this machine reaches the server",
		"/docs/errors": "wrong-token",
		"/nowhere":     "There is no such page",
		"/clips/x":     "No library",
		"/runs/x":      "No run",
		"/search/q/x":  "No library",
	} {
		status, text := get(t, h, path)
		if !strings.Contains(text, want) || !strings.Contains(text, "</html>") {
			t.Errorf("%s (%d) does not say %q", path, status, want)
		}
		if strings.Contains(text, "<script>") || strings.Contains(text, "style=") ||
			strings.Contains(text, "onclick") {
			t.Errorf("%s has script or style in its text, which the content policy forbids", path)
		}
	}
}

// TestToken opens a server that asks for a token as a browser does.
func TestToken(t *testing.T) {
	h := serve(t, server.Config{Token: "secret"})
	status, text := get(t, h, "/library")
	if status != http.StatusUnauthorized || !strings.Contains(text, `action="/v1/session"`) {
		t.Errorf("%d %.200s", status, text)
	}
	if !strings.Contains(text, `value="/library"`) {
		t.Error("the way back is lost")
	}
}

// TestPhoneCode shows the address as a code where others can reach the server, without the
// token in words, and to those alone who know it.
func TestPhoneCode(t *testing.T) {
	h := serve(t, server.Config{Addresses: []string{"http://192.168.1.9:8420/#t=the-token", "http://127.0.0.1:8420/#t=the-token"}})
	_, text := get(t, h, "/phone")
	if strings.Count(text, `class="code"`) != 1 || strings.Contains(text, "the-token") || !strings.Contains(text, "192.168.1.9:8420/") {
		t.Errorf("%.3000s", text)
	}
	if _, text := get(t, h, "/keys"); !strings.Contains(text, `href="/phone"`) {
		t.Error("no page leads there")
	}
	h = serve(t, server.Config{Token: "the-token", Addresses: []string{"http://192.168.1.9:8420/#t=the-token"}})
	if status, text := get(t, h, "/phone"); status != http.StatusUnauthorized || strings.Contains(text, `class="code"`) ||
		strings.Contains(text, "192.168") {
		t.Errorf("%d without the token", status)
	}
}

// TestErrorLinks follows the type of a problem to what it means.
func TestErrorLinks(t *testing.T) {
	h := serve(t, server.Config{})
	_, text := get(t, h, "/clips/x")
	if !strings.Contains(text, `href="/docs/errors#no-library"`) {
		t.Errorf("%.2000s", text)
	}
	_, text = get(t, h, "/docs/errors")
	for _, d := range server.ErrorDocs() {
		if strings.Count(text, `id="`+d.Code+`"`) != 1 {
			t.Errorf("%s is not there once", d.Code)
		}
	}
}

// TestNames shows what a file's name may hold.
func TestNames(t *testing.T) {
	lib := &library{vector: map[string][]float32{}, clips: []server.Clip{{ID: "x", Name: `<script>alert(1)</script>"'`,
		Labels: []string{`</title><img src=x onerror=alert(1)>`}, HasVideo: true, HasAudio: true}}}
	h := serve(t, server.Config{Library: lib})
	for _, path := range []string{"/library", "/clips/x", "/", "/library?text=%22%3E%3Cscript%3E"} {
		_, text := get(t, h, path)
		if strings.Contains(text, "<script>") || strings.Contains(text, "<img src=x") {
			t.Errorf("%s shows a name as it is", path)
		}
	}
}

func get(t testing.TB, h *httptest.Server, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	r, err := h.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// A clip with a picture has the components of its tokens, one of sound alone has none.
func TestClipShowsComponents(t *testing.T) {
	h := serve(t, server.Config{Library: servertest.NewLibrary(24), Model: &servertest.Model{},
		Explainer: servertest.Explainer{}})
	for path, want := range map[string]bool{"/clips/c00000": true, "/clips/c00023": false} {
		if _, text := get(t, h, path); strings.Contains(text, "components.png") != want {
			t.Errorf("%s: components %v", path, !want)
		}
	}
}
