package avjepa_test

import (
	"context"
	"fmt"
	"log"

	"avjepa"
)

// The sounds of a folder for a picture.
func Example() {
	ctx := context.Background()
	m, err := avjepa.Open("runs/demo", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	sounds := []string{"bark.wav", "bell.wav", "rain.wav"}
	var heard [][]float32
	for _, path := range sounds {
		e, err := m.EmbedFile(ctx, path)
		if err != nil {
			log.Fatal(err)
		}
		heard = append(heard, e.Audio)
	}
	picture, err := m.EmbedFile(ctx, "dog.jpg")
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range avjepa.Nearest(picture.Video, heard, 2) {
		fmt.Printf("%s %.2f\n", sounds[hit.Index], hit.Score)
	}
}

// A long recording, window by window averaged, for a classifier of one's own.
func ExampleModel_EmbedFile() {
	m, err := avjepa.Open("runs/demo", &avjepa.Options{Embedding: "cls", Windows: 6, MaxSeconds: 600})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	e, err := m.EmbedFile(context.Background(), "lecture.mp4")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(e.Both), e.Windows)
}

func ExampleSimilar() {
	fmt.Printf("%.1f\n", avjepa.Similar([]float32{3, 4}, []float32{4, 3}))
	// Output: 1.0
}

func ExampleNearest() {
	gallery := [][]float32{{0, 1}, {1, 1}, {1, 0}}
	for _, hit := range avjepa.Nearest([]float32{1, 0}, gallery, 2) {
		fmt.Printf("%d %.2f\n", hit.Index, hit.Score)
	}
	// Output:
	// 2 1.00
	// 1 0.71
}
