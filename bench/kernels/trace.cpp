// A library that CUDA loads into a program (CUDA_INJECTION64_PATH) and that sums the
// time of its kernels by name, with CUPTI. The sums are written to $KERNELS_OUT every
// second, as JSON lines, the longest first: a program that ends without libc's leave,
// as Go's do, keeps what it had by then.
//
// Built by run.sh with KERNEL as the newest record of a kernel that cupti.h knows.

#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Sum {
	uint64_t calls = 0, nanoseconds = 0;
};

std::mutex lock;
std::map<std::string, Sum> sums; // by mangled name; under lock
uint64_t dropped = 0;            // records; under lock

void add(const std::string &name, uint64_t start, uint64_t end) {
	std::lock_guard<std::mutex> held(lock);
	Sum &s = sums[name];
	s.calls++;
	s.nanoseconds += end - start;
}

void CUPTIAPI requested(uint8_t **buffer, size_t *size, size_t *records) {
	*size = 4 << 20;
	*buffer = static_cast<uint8_t *>(aligned_alloc(8, *size));
	*records = 0; // as many as fit
}

void CUPTIAPI completed(CUcontext context, uint32_t stream, uint8_t *buffer, size_t, size_t valid) {
	CUpti_Activity *record = nullptr;
	while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
		if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
			auto *k = reinterpret_cast<KERNEL *>(record);
			add(k->name ? k->name : "?", k->start, k->end);
		}
	}
	size_t n = 0;
	if (cuptiActivityGetNumDroppedRecords(context, stream, &n) == CUPTI_SUCCESS && n > 0) {
		std::lock_guard<std::mutex> held(lock);
		dropped += n;
	}
	free(buffer);
}

// readable returns a name without its mangling, at most 120 characters, fit for JSON.
std::string readable(const std::string &mangled) {
	int status = 0;
	char *text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
	std::string name = status == 0 ? text : mangled, out;
	free(text);
	for (char c : name.substr(0, 120)) {
		if (c == '"' || c == '\\' || c == '|' || c < ' ')
			c = ' ';
		out += c;
	}
	return out;
}

void write(const std::string &path) {
	std::vector<std::pair<std::string, Sum>> rows;
	uint64_t all = 0, lost = 0;
	{
		std::lock_guard<std::mutex> held(lock);
		rows.assign(sums.begin(), sums.end());
		lost = dropped;
	}
	for (auto &r : rows)
		all += r.second.nanoseconds;
	std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
		return a.second.nanoseconds > b.second.nanoseconds;
	});
	FILE *f = fopen((path + ".new").c_str(), "w");
	if (!f)
		return;
	fprintf(f, "{\"kernels\": %zu, \"kernels_ms\": %.3f, \"dropped\": %llu}\n", rows.size(), all / 1e6,
		(unsigned long long)lost);
	for (auto &r : rows)
		fprintf(f, "{\"kernel\": \"%s\", \"calls\": %llu, \"ms\": %.3f, \"share\": %.5f}\n",
			readable(r.first).c_str(), (unsigned long long)r.second.calls,
			r.second.nanoseconds / 1e6, double(r.second.nanoseconds) / double(all));
	fclose(f);
	rename((path + ".new").c_str(), path.c_str());
}

} // namespace

// InitializeInjection is called by CUDA when the program initialises it.
extern "C" int InitializeInjection() {
	const char *path = getenv("KERNELS_OUT");
	if (!path || cuptiActivityRegisterCallbacks(requested, completed) != CUPTI_SUCCESS ||
		cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS) {
		fprintf(stderr, "kernels: no KERNELS_OUT, or CUPTI does not let us\n");
		return 1; // the program goes on without
	}
	std::thread([out = std::string(path)] {
		for (;;) {
			std::this_thread::sleep_for(std::chrono::seconds(1));
			cuptiActivityFlushAll(0);
			write(out);
		}
	}).detach();
	return 1;
}
