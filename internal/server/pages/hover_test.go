package pages_test

import (
	"testing"

	"avjepa/internal/server"
	"avjepa/internal/server/browsertest"
)

// spy counts what is asked of the excerpts, and what was given up, and has sounds note
// that they play.
const spy = `
	var asked = [], gone = 0, played = [], loudest = 0;
	const real = fetch;
	fetch = (url, init) => {
		if (!String(url).includes("/excerpt.m4a")) return real(url, init);
		asked.push(String(url).split("/")[3]);
		init?.signal?.addEventListener("abort", () => { gone++; });
		return real(url, init);
	};
	const play = HTMLMediaElement.prototype.play;
	HTMLMediaElement.prototype.play = function () {
		played.push(this);
		this.addEventListener("volumechange", () => { loudest = Math.max(loudest, this.volume); });
		return play.call(this);
	};
	const at = (i) => {
		const map = document.querySelector("av-map"), box = map.querySelector("canvas[tabindex]").getBoundingClientRect();
		const side = Math.min(box.width, box.height) - 48;
		return { clientX: box.left + (box.width - side) / 2 + i[0] * side, clientY: box.top + (box.height - side) / 2 + i[1] * side };
	};
	const move = (x, y) => document.querySelector("av-map canvas[tabindex]").dispatchEvent(
		new PointerEvent(x < 0 ? "pointerleave" : "pointermove", { ...at([x, y]), pointerType: "mouse", bubbles: true }));
	const places = async () => {
		const bytes = await (await real("/v1/map?space=audio")).arrayBuffer(), n = new DataView(bytes).getUint32(0, true);
		const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, n))), v = new DataView(bytes, 4 + n);
		return head.ids.map((id, i) => ({ id, x: v.getUint16(4 * i, true) / 65535, y: 1 - v.getUint16(4 * i + 2, true) / 65535 }));
	};`

// TestHover lets points of the map sound: not before that is switched on, not for a pointer
// that passes, one at a time, with the next ones fetched ahead, and nothing more when the
// pointer leaves.
func TestHover(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browsertest.Start(t)
	h, _, _ := whole(t)
	x := b.Open(t, h.URL)
	before(x, spy)
	x.Screen(1280, false)
	x.Visit("/map?space=audio")
	x.Until("the map", mapReady)
	x.Do("places", discard(`places().then((p) => { window.spots = p; })`))
	x.Until("places", `window.spots`)
	wait := func(ms string) {
		browsertest.Eval[any](x, `new Promise((done) => setTimeout(() => done(0), `+ms+`))`)
	}
	x.Do("over a point", discard(`move(spots[0].x, spots[0].y)`))
	wait("600")
	if n := browsertest.Eval[int](x, `asked.length + played.length`); n != 0 {
		t.Errorf("it sounds before anybody asked: %d requests and sounds", n)
	}
	x.Do("leave", discard(`move(-1, 0)`))
	x.Do("sound on", discard(`document.querySelector("[data-do=hover]").click()`))
	// A pointer that is gone before the dwell is over asks for nothing.
	browsertest.Eval[any](x, `new Promise((done) => {
		move(spots[0].x, spots[0].y);
		setTimeout(() => { move(-1, 0); setTimeout(() => done(0), 400); }, 40);
	})`)
	if n := browsertest.Eval[int](x, `asked.length`); n != 0 {
		t.Errorf("a pointer that passed asked for %d sounds", n)
	}
	x.Do("over a point", discard(`move(spots[0].x, spots[0].y)`))
	x.Until("it sounds", `played.length === 1 && played[0].currentTime > 0.2 && played[0].volume === 1`)
	x.Until("the next ones are there", `asked.length === 9`)
	if !browsertest.Eval[bool](x, `asked[0] === spots[0].id && new Set(asked).size === 9 && played[0].duration <= 3.2`) {
		t.Errorf("asked for %s", browsertest.Eval[string](x, `asked.join()`))
	}
	// The nearest one is there already, and through the same element.
	x.Do("to the next", discard(`const n = spots.find((s) => s.id === asked[1]); move(n.x, n.y)`))
	x.Until("it sounds", `played.length === 2 && played[1] === played[0] && played[0].volume === 1 && !played[0].paused`)
	if !browsertest.Eval[bool](x, `asked.filter((id) => id === asked[1]).length === 1`) {
		t.Error("what was fetched ahead was asked for again")
	}
	x.Do("leave", discard(`move(-1, 0)`))
	x.Until("silence", `played[0].paused && played[0].volume === 0`)
	n := browsertest.Eval[int](x, `asked.length`)
	wait("500")
	if more := browsertest.Eval[int](x, `asked.length`) - n; more > 0 {
		t.Errorf("%d requests after the pointer left", more)
	}
}

// TestHoverGivesUp leaves a point whose sound the server is long to make: the request is
// given up, and none of those ahead is made.
func TestHoverGivesUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browsertest.Start(t)
	h := serve(t, server.Config{Library: newCloud(100)})
	x := b.Open(t, h.URL)
	before(x, spy+`
		const slow = fetch;
		fetch = (url, init) => String(url).includes("/excerpt.m4a") ? (asked.push(url), new Promise((_, no) =>
			init.signal.addEventListener("abort", () => { gone++; no(new DOMException("", "AbortError")); }))) : slow(url, init);`)
	x.Screen(1280, false)
	x.Visit("/map?space=audio")
	x.Until("the map", mapReady)
	x.Do("sound on", discard(`document.querySelector("[data-do=hover]").click(); places().then((p) => { window.spots = p; })`))
	x.Until("places", `window.spots`)
	x.Do("over a point", discard(`move(spots[0].x, spots[0].y)`))
	x.Until("it is asked for", `asked.length === 1 && gone === 0`)
	x.Do("leave", discard(`move(-1, 0)`))
	x.Until("it is given up", `gone === 1`)
	if n := browsertest.Eval[int](x, `asked.length + played.length`); n != 1 {
		t.Errorf("%d requests and sounds, want the first request alone", n)
	}
}
