package library

import "context"

// writeForever adds ten clips at a time.
func writeForever(dir string) {
	ctx := context.Background()
	l, err := Open(ctx, dir, Options{Write: true})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i += 10 {
		all := entries(i + 10)[i:]
		if err := l.Add(ctx, all...); err != nil {
			panic(err)
		}
	}
}
