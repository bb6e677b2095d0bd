"""The tables of compare.py: their rows, and the pages that they stand on."""

import os
import statistics


def spread(values, form):
    """Median and, of several values, the range."""
    if len(values) == 1:
        return form % values[0]
    return "%s (%s–%s)" % tuple(form % x for x in
                                (statistics.median(values), min(values), max(values)))


def alive(lines):
    return [x for x in lines if "dead" not in x]


def seconds(lines):
    """Of the rounds, or why there are none."""
    if not alive(lines):
        return lines[-1]["dead"]
    return spread([x["seconds"] for x in alive(lines)], "%.3g")


def ratios(lines, by):
    """The seconds of lines by those of the same rounds of by."""
    pairs = [(x, y) for x, y in zip(lines, by) if "dead" not in x and "dead" not in y]
    return spread([x["seconds"] / y["seconds"] for x, y in pairs], "%.2f") if pairs else ""


def median(lines, key, form):
    values = [x[key] for x in alive(lines)]
    return form % statistics.median(values) if values else ""


def memory(lines):
    """MB, of a process that died what it had by then."""
    if alive(lines):
        return median(lines, "rss_mb", "%.0f")
    return "%.0f at its end" % lines[-1]["rss_mb"] if lines[-1]["rss_mb"] else ""


class PEER:
    """avjepa beside PyTorch."""

    mark = "bench"
    head = ("| size, tokens, mode | s | peer's s | times | GFLOP/s | peer's | of peak | peer's "
            "| MB | peer's | peer's attention | commit |\n" + "|---" * 12 + "|")

    @staticmethod
    def row(label, ours, peer, commit):
        peak = [x["gflops"] / x["peak_share"] for x in alive(ours) if x["peak_share"]]
        share = ["%.0f %%" % (100 * statistics.median(x["gflops"] for x in alive(side)) /
                              statistics.median(peak))
                 if peak and alive(side) else "" for side in (ours, peer)]
        forms = [x["attention"] for x in alive(peer)]
        cells = [label, seconds(ours), seconds(peer), ratios(peer, ours),
                 median(ours, "gflops", "%.0f"), median(peer, "gflops", "%.0f"), *share,
                 memory(ours), memory(peer), statistics.mode(forms) if forms else "", commit]
        return "| %s |" % " | ".join(cells)


class SCALING:
    """avjepa with all threads beside itself with one."""

    mark = "scaling"
    head = ("| size, tokens, mode | s | s with one thread | times | GFLOP/s "
            "| with one thread | commit |\n" + "|---" * 7 + "|")

    @staticmethod
    def row(label, ours, one, commit):
        cells = [label, seconds(ours), seconds(one), ratios(one, ours),
                 median(ours, "gflops", "%.0f"), median(one, "gflops", "%.0f"), commit]
        return "| %s |" % " | ".join(cells)


class Page:
    """A page with a table between two marks, <!-- bench --> and <!-- /bench -->. Rows
    of cases that are measured again are replaced, all when the machine is another."""

    def __init__(self, path, kind, machine):
        self.path, self.kind, self.machine, self.rows = path, kind, machine, []
        if path:
            _, between, _ = self.parts()
            if between.lstrip().startswith(self.heading() + "\n"):
                self.rows = between[between.index(kind.head) + len(kind.head):].split("\n")
                self.rows = [r for r in self.rows if r.startswith("|")]

    def heading(self):
        return self.machine + "."

    def parts(self):
        """The page before, between and behind the marks."""
        begin, end = "<!-- %s -->" % self.kind.mark, "<!-- /%s -->" % self.kind.mark
        with open(self.path) as f:
            text = f.read()
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise SystemExit("%s: want one %s and one %s behind it" % (self.path, begin, end))
        before, rest = text.split(begin)
        between, behind = rest.split(end)
        return before + begin, between, end + behind

    def add(self, row):
        """Puts a row into the page, in place of an older one of its case."""
        if not self.path:
            return
        case = row.split(" |")[0]
        found = [i for i, r in enumerate(self.rows) if r.split(" |")[0] == case]
        if found:
            self.rows[found[0]] = row
        else:
            self.rows.append(row)
        before, _, behind = self.parts()
        text = "\n".join([self.heading(), "", self.kind.head, *self.rows])
        new = self.path + ".new"
        with open(new, "w") as f:
            f.write(before + "\n" + text + "\n" + behind)
        os.replace(new, self.path)
