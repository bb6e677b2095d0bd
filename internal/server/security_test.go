package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"avjepa/internal/server"
)

// TestHeaders looks at what every answer says to browsers, errors included.
func TestHeaders(t *testing.T) {
	_, web := open(t, nil)
	for _, path := range []string{"/v1/clips", "/v1/nothing", "/healthz", "/metrics", "/nothing"} {
		res, _ := get(t, web, path)
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Permissions-Policy": "microphone=(self), camera=(self)",
			"Access-Control-Allow-Origin": ""} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no id", path)
		}
	}
}

// TestForeignNames answers under the names of this machine alone: a page from elsewhere
// whose name points here gets nothing.
func TestForeignNames(t *testing.T) {
	_, web := open(t, nil)
	for host, want := range map[string]int{"localhost": 200, "localhost:8420": 200, "127.0.0.1:1": 200,
		"[::1]:8420": 200, "LOCALHOST": 200, "evil.example": 403, "localhost.evil.example": 403,
		"127.0.0.1.evil.example:8420": 403, "192.168.0.1": 403} {
		if res, text := get(t, web, "/v1/clips", "Host", host); res.StatusCode != want {
			t.Errorf("%s: %s %.200s", host, res.Status, text)
		}
	}
}

// TestForeignPages refuses what pages from elsewhere send, and lets them read only when
// they are named.
func TestForeignPages(t *testing.T) {
	_, web := open(t, func(c *server.Config) { c.Origins = []string{"https://notes.example"} })
	body := func() *strings.Reader { return strings.NewReader(`{"clip": "c00001", "limit": 1}`) }
	for _, c := range []struct {
		headers []string
		want    int
		allowed string
	}{
		{nil, 200, ""},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403, ""},
		{[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:3000"}, 403, ""},
		{[]string{"Origin", "https://evil.example"}, 403, ""},
		{[]string{"Origin", "null"}, 403, ""},
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://notes.example"}, 200, "https://notes.example"},
		{[]string{"Origin", "https://notes.example.evil.example"}, 403, ""},
	} {
		headers := append([]string{"Content-Type", "application/json"}, c.headers...)
		res, text := send(t, web, "POST", "/v1/search", body(), headers...)
		if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != c.want || got != c.allowed {
			t.Errorf("%v: %s, allowed %q, %.200s", c.headers, res.Status, got, text)
		}
	}
	r, _ := http.NewRequest("OPTIONS", web.URL+"/v1/search", nil)
	r.Header.Set("Origin", "https://notes.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Credentials") != "" ||
		!strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("before it asks: %s %v", res.Status, res.Header)
	}
}

// TestToken lets in who has the token or its cookie.
func TestToken(t *testing.T) {
	const token = "correct-horse"
	_, web := open(t, func(c *server.Config) {
		c.Token, c.Hosts, c.Public = token, nil, []string{"/assets/"}
		c.Pages = func(mux *http.ServeMux, s *server.Server) {
			mux.HandleFunc("GET /assets/a.js", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("a")) })
			mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("home")) })
		}
	})
	for _, c := range []struct {
		path    string
		headers []string
		want    int
	}{
		{"/v1/clips", nil, 401}, {"/", nil, 401}, {"/metrics", nil, 401}, {"/v1/openapi.json", nil, 401},
		{"/healthz", nil, 200}, {"/readyz", nil, 200}, {"/assets/a.js", nil, 200}, {"/assets/../v1/clips", nil, 307},
		{"/v1/clips", []string{"Authorization", "Bearer " + token}, 200},
		{"/v1/clips", []string{"Authorization", "bearer " + token}, 200},
		{"/v1/clips", []string{"Authorization", "Bearer " + token + "x"}, 401},
		{"/v1/clips", []string{"Authorization", "Bearer "}, 401},
		{"/v1/clips", []string{"Authorization", token}, 401},
		{"/v1/clips", []string{"Cookie", "avjepa_session=" + token}, 401},
		{"/v1/clips", []string{"Cookie", "avjepa_session="}, 401},
	} {
		res, text := get(t, web, c.path, c.headers...)
		if res.StatusCode != c.want {
			t.Errorf("%s %v: %s %.200s", c.path, c.headers, res.Status, text)
		}
		if c.want == 401 && (res.Header.Get("WWW-Authenticate") == "" || strings.Contains(string(text), token)) {
			t.Errorf("%s: %v %s", c.path, res.Header, text)
		}
	}
	login := func(kind, body string) *http.Response {
		res, _ := send(t, web, "POST", "/v1/session", strings.NewReader(body), "Content-Type", kind)
		return res
	}
	const asForm = "application/x-www-form-urlencoded"
	for body, want := range map[string]int{`{"token": "wrong-horse"}`: 401, `{"token": ""}`: 401, `{`: 400,
		`{"token": "` + strings.Repeat("a", 5000) + `"}`: 400} {
		if res := login("application/json", body); res.StatusCode != want || len(res.Cookies()) > 0 {
			t.Errorf("%.40s: %s", body, res.Status)
		}
	}
	for next, want := range map[string]string{"/clips/1?a=b": "/clips/1?a=b", "//evil.example": "/",
		"https://evil.example": "/", "/\\evil.example": "/", "": "/", "clips": "/"} {
		res := login(asForm, "token="+token+"&next="+strings.NewReplacer("?", "%3F", "=", "%3D", "\\", "%5C").Replace(next))
		if res.StatusCode != 303 || res.Header.Get("Location") != want {
			t.Errorf("next %q: %s to %q", next, res.Status, res.Header.Get("Location"))
		}
	}
	res := login("application/json", `{"token": "`+token+`"}`)
	cookies := res.Cookies()
	if res.StatusCode != 204 || len(cookies) != 1 || !cookies[0].HttpOnly ||
		cookies[0].SameSite != http.SameSiteStrictMode || strings.Contains(cookies[0].Value, token) {
		t.Fatalf("%s %v", res.Status, cookies)
	}
	if res, _ := get(t, web, "/", "Cookie", cookies[0].Name+"="+cookies[0].Value); res.StatusCode != 200 {
		t.Errorf("with the cookie: %s", res.Status)
	}
}

// TestTooManyRequests bounds what one address may ask for; reading is not counted.
func TestTooManyRequests(t *testing.T) {
	_, web := open(t, func(c *server.Config) { c.Limits.RatePerS, c.Limits.Burst = .001, 3 })
	for i := range 6 {
		res, _ := send(t, web, "POST", "/v1/search", strings.NewReader(`{"clip": "c00001"}`),
			"Content-Type", "application/json")
		if want := map[bool]int{true: 200, false: 429}[i < 3]; res.StatusCode != want {
			t.Errorf("request %d: %s", i, res.Status)
		}
		if res, _ := get(t, web, "/v1/clips"); res.StatusCode != 200 {
			t.Errorf("reading: %s", res.Status)
		}
	}
}

// TestMethods answers other methods with those that are allowed.
func TestMethods(t *testing.T) {
	_, web := open(t, nil)
	for _, c := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"POST", "/v1/clips", 405, "GET, HEAD"}, {"GET", "/v1/search", 405, "POST"}, {"PUT", "/v1/jobs/x", 405, "GET, HEAD, DELETE"},
		{"BREW", "/healthz", 405, "GET, HEAD"}, {"POST", "/v1/nothing", 404, ""}, {"HEAD", "/v1/clips", 200, ""},
	} {
		r, _ := http.NewRequest(c.method, web.URL+c.path, nil)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.want || res.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %s, allows %q", c.method, c.path, res.Status, res.Header.Get("Allow"))
		}
	}
}

// TestErrorsForBrowsers sends pages to browsers, with what is said escaped.
func TestErrorsForBrowsers(t *testing.T) {
	s, _ := open(t, nil)
	r := httptest.NewRequest("GET", "/v1/clips/%3Cscript%3E", nil)
	r.Host = "localhost"
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != 404 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") ||
		strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestNothingLoaded says what is missing when there is neither model nor library.
func TestNothingLoaded(t *testing.T) {
	_, web := open(t, func(c *server.Config) { c.Library, c.Model, c.Explainer, c.RunsDir = nil, nil, nil, "" })
	for path, want := range map[string]string{"/v1/library": "no-library", "/v1/clips": "no-library",
		"/v1/map": "no-library", "/v1/models/current": "no-model", "/v1/clips/c1/thumb.jpg": "no-library"} {
		res, text := get(t, web, path)
		if p := parse[server.Problem](t, text); res.StatusCode != 503 || p.Code != want || p.Hint == "" {
			t.Errorf("%s: %s %s", path, res.Status, text)
		}
	}
	body, mime := form(t, "a.wav", []byte("RIFFaaaaaaaaaa"))
	res, text := send(t, web, "POST", "/v1/embed", body, "Content-Type", mime)
	if res.StatusCode != 503 || parse[server.Problem](t, text).Code != "no-model" {
		t.Errorf("embed: %s %s", res.Status, text)
	}
	for _, path := range []string{"/v1/runs", "/v1/models", "/v1/jobs", "/v1/version"} {
		if res, text := get(t, web, path); res.StatusCode != 200 {
			t.Errorf("%s: %s %s", path, res.Status, text)
		}
	}
}
