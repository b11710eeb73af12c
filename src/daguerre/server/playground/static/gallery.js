// The pictures of this browser, in IndexedDB: the file as it came, a small one to show, and the
// fields that made it. Where the browser keeps nothing, they live as long as the page.

const STORE = "pictures";
const SMALL_PX = 480;

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function done(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

export class Gallery {
  #database = null;
  #pictures = [];
  #nextId = 1;

  // False where nothing will outlive the page.
  async open() {
    try {
      const request = indexedDB.open("daguerre", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
      this.#database = await settled(request);
      this.#pictures = await settled(this.#database.transaction(STORE).objectStore(STORE).getAll());
    } catch {
      this.#database = null;
    }
    this.#nextId = Math.max(0, ...this.#pictures.map(({ id }) => id)) + 1;
    return this.#database !== null;
  }

  // The newest first.
  get pictures() {
    return [...this.#pictures].sort((a, b) => b.id - a.id);
  }

  // The picture, and whether its very bytes were there before.
  async add(file, fields, seconds) {
    const same = await this.#find(file, fields);
    if (same) return { picture: same, isKnown: true };
    const id = Math.max(this.#nextId, Date.now());  // also unlike that of another window
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
    await done(transaction);
  }

  async #find(file, fields) {
    const wanted = JSON.stringify(fields);
    for (const picture of this.#pictures) {
      const isLike = picture.file.size === file.size && JSON.stringify(picture.fields) === wanted;
      if (isLike && (await hasSameBytes(picture.file, file))) return picture;
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
