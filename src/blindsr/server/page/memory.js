// What this browser remembers: small things in localStorage, photos in IndexedDB, so that after a
// reload they can be compared with their results. Where a browser allows neither, the page works without.

export function remember(name, value) {
  try {
    localStorage.setItem(`blindsr.${name}`, JSON.stringify(value));
  } catch { /* private windows, full disks */ }
}

export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`blindsr.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("blindsr", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("photos");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function inPhotos(mode, work) {
  try {
    const transaction = (await database()).transaction("photos", mode);
    const request = work(transaction.objectStore("photos"));
    return await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } catch {
    return undefined;
  }
}

// A photo is kept with what was painted on it: {file, strokes}.
export const keepPhoto = (key, photo) => inPhotos("readwrite", (photos) => photos.put(photo, key));
export const keptPhoto = (key) => inPhotos("readonly", (photos) => photos.get(key));
export const dropPhoto = (key) => inPhotos("readwrite", (photos) => photos.delete(key));

// Photos that nothing leads to any more, as after a window was closed too early, are dropped.
export async function dropOtherPhotos(keys) {
  for (const key of (await inPhotos("readonly", (photos) => photos.getAllKeys())) ?? []) {
    if (!keys.includes(key)) await dropPhoto(key);
  }
}
