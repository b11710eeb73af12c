// The pictures of this browser, in IndexedDB: the original file, a thumbnail, and the request fields.
// If the browser has no storage, pictures last as long as the page.

const STORE = "pictures";
const SMALL_PX = 480;

function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function committed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

export class Gallery {
  #database = null;
  #pictures = [];
  #nextId = 1;

  // Returns false if pictures do not outlive the page.
  async open() {
    try {
      const request = indexedDB.open("daguerre", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
      this.#database = await resultOf(request);
      this.#pictures = await resultOf(this.#database.transaction(STORE).objectStore(STORE).getAll());
    } catch {
      this.#database = null;
    }
    this.#nextId = Math.max(0, ...this.#pictures.map(({ id }) => id)) + 1;
    return this.#database !== null;
  }

  // Newest first.
  get pictures() {
    return [...this.#pictures].sort((a, b) => b.id - a.id);
  }

  // Returns the stored picture, and whether an identical one was already there.
  async add(file, fields, seconds) {
    const known = await this.#find(file, fields);
    if (known) return { picture: known, isKnown: true };
    const id = Math.max(this.#nextId, Date.now());  // unique across windows
    this.#nextId = id + 1;
    const picture = { id, file, small: await small(file), fields, seconds };
    this.#pictures.push(picture);
    await this.#write((store) => store.put(picture));
    return { picture, isKnown: false };
  }

  async remove(id) {
    this.#pictures = this.#pictures.filter((picture) => picture.id !== id);
    await this.#write((store) => store.delete(id));
  }

  async clear() {
    this.#pictures = [];
    await this.#write((store) => store.clear());
  }

  async #write(change) {
    if (!this.#database) return;
    const transaction = this.#database.transaction(STORE, "readwrite");
    change(transaction.objectStore(STORE));
    await committed(transaction);
  }

  async #find(file, fields) {
    const wanted = JSON.stringify(fields);
    for (const picture of this.#pictures) {
      const isCandidate = picture.file.size === file.size && JSON.stringify(picture.fields) === wanted;
      if (isCandidate && (await hasSameBytes(picture.file, file))) return picture;
    }
  }
}

async function hasSameBytes(one, other) {
  const [a, b] = await Promise.all([one, other].map(async (file) => new Uint8Array(await file.arrayBuffer())));
  return a.every((byte, index) => byte === b[index]);
}

async function small(file) {
  const bitmap = await createImageBitmap(file);
  const scale = SMALL_PX / Math.max(bitmap.width, bitmap.height);
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}
