/** Whether the box that goes to any page or vehicle is open. */
class Palette {
  open = $state(false)
}

export const palette = new Palette()
